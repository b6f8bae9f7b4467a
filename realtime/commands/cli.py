"""The `voiced` command: serve, say, talk, voices, bench, config."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import msgspec

from realtime import __version__
from realtime.config import Config, ConfigError, as_toml, as_toml_value, fields, load_config, make_uploads
from realtime.voices.files import VoiceError

_BENCHMARKS = {
    "engine": "continuous batching against transformers' generate on a random checkpoint",
    "codec": "the streaming decoder's speed beside window re-decoding, and its low-latency error",
    "schedule": "scheduling by playout against first-come-first-served, simulated",
    "serve": "listeners of a running server: first audio, gaps, barge-in, CPU",
    "talk": "callers who speak recordings: from their last sound to the answer's first, gaps, CPU and memory",
    "webrtc": "two-way calls: sessions per core and lateness of packets, beside aiortc",
    "ears": "Whisper with a short context on people's speech: word error, CPU beside 30 s of context, made-up words",
    "attacks": "hostile WebRTC callers: what the others notice, and what is left behind",
}
"""The HELP of each benchmark's module, repeated here: to ask the modules for it would import torch."""
_OUTPUT_HELP = (
    "where to; the ending says the format: .wav, .mp3, .opus, .ogg, .aac, .flac or .pcm; - for bare PCM on stdout "
    "(default: %(default)s)"
)
_TALKATIVE = {"aioice": logging.WARNING, "aiortc": logging.WARNING, "python_multipart": logging.ERROR}
"""The least level at which these libraries are logged. Below it they tell of each caller's path checks and bad forms,
which do not concern whoever runs the server."""
_SAY_SETTINGS = ("host", "port", "api_keys", "tls_cert", "model", "codec", "device", "voices", "uploads")
_TALK_SETTINGS = (*_SAY_SETTINGS, "brain", "recogniser")
_VOICES_SETTINGS = ("model", "voices", "uploads")
"""The settings that the help of `say` and of `voices` shows. Both take all others as well, but most matter to `serve`
only."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status. What goes wrong is told in one sentence on stderr."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = _parser(given)
    options = parser.parse_args(given)
    if options.command is None:
        parser.error("a command is missing")
    try:
        status: int = options.run(options)
        return status
    except (ConfigError, VoiceError) as error:
        print(f"voiced: {error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130


class _Parser(argparse.ArgumentParser):
    """Parses arguments, taking whole names only: what abbreviates one flag today may fit two tomorrow.

    A mistake is told in one line.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **options})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Parse, or exit with what is not known.

        Each subcommand's parser does this itself, so that the message names the subcommand and its own help.
        """
        options, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return options, unknown

    def error(self, message: str) -> NoReturn:
        """Exit with what is wrong and where help is. The usage is left out: of a page of flags it would show only the
        names.
        """
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def _parser(given: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(prog="voiced", description="A real-time voice for codec language models.")
    parser.add_argument("--version", action="version", version=f"voiced {__version__}", help="print the version")
    commands = parser.add_subparsers(dest="command", metavar="command")

    serve = commands.add_parser("serve", help="run the server", description="Run the server.")
    _add_settings(serve)
    serve.set_defaults(run=_serve)

    say = commands.add_parser(
        "say",
        help="speak a text into a file",
        description="Speak a text: with the server if one runs, otherwise with an engine started for it.",
    )
    say.add_argument("text", help="what to say; - reads it from standard input")
    say.add_argument("-o", "--output", default="speech.wav", metavar="FILE", help=_OUTPUT_HELP)
    say.add_argument("--voice", default=None, help="a voice by name; voiced voices lists them")
    say.add_argument("--instructions", default=None, help="the scene, in words")
    say.add_argument("--seed", type=int, default=None, help="makes the speech repeatable")
    say.add_argument("--stats", action="store_true", help="print first audio, speed and gaps")
    say.add_argument("--url", default=None, help="server to use, as ws(s):// or http(s):// (default: at host and port)")
    _add_settings(say, _SAY_SETTINGS)
    say.set_defaults(run=_say)

    talk = commands.add_parser(
        "talk",
        help="hold a spoken conversation",
        description="Ask aloud with recordings, or with typed lines where none are given, and hear the answers: with "
        "the server if one runs, otherwise with one started for it.",
    )
    talk.add_argument("questions", nargs="*", metavar="question.wav", help="recordings (WAV or FLAC), up to 30 s each")
    talk.add_argument("-o", "--output", default=None, metavar="FILE", help="where the answers go, as in voiced say")
    talk.add_argument("--json", action="store_true", dest="as_json", help="print transcripts and times as JSON")
    talk.add_argument("--silence-ms", type=int, default=500, help="silence that ends a turn (default: %(default)s)")
    talk.add_argument(
        "--url", default=None, help="server to use, as ws(s):// or http(s):// (default: at host and port)"
    )
    _add_settings(talk, _TALK_SETTINGS)
    talk.set_defaults(run=_talk)

    voices = commands.add_parser(
        "voices",
        help="list the voices",
        description="List the voices that a server with these settings begins with, and where each is from; those "
        "that clients have uploaded are in the folder given with --uploads. A running server lists all its voices at "
        "/v1/audio/voices.",
    )
    _add_settings(voices, _VOICES_SETTINGS)
    voices.set_defaults(run=_voices)

    bench = commands.add_parser("bench", help="measure", description="Measure, beside a reference in the same run.")
    kinds = bench.add_subparsers(dest="benchmark", required=True, metavar="benchmark")
    for name, told in _BENCHMARKS.items():
        benchmark = kinds.add_parser(name, help=told, description=told)
        if list(given[:2]) == ["bench", name]:
            _load_benchmark(benchmark, name)

    config = commands.add_parser(
        "config", help="show the effective settings", description="Show the effective settings, as a settings file."
    )
    _add_settings(config)
    config.set_defaults(run=_show_config)
    return parser


def _add_settings(parser: argparse.ArgumentParser, shown: Sequence[str] | None = None) -> None:
    """Add one flag for each setting, from the settings' own types and help.

    `shown` names those that the help lists, by default all; the others are taken as well.
    """
    parser.add_argument("--config", dest="config_file", default=None, metavar="FILE", help="settings file (TOML)")
    others = "" if shown is None else "; voiced serve --help lists the others, which are taken too"
    group = parser.add_argument_group(f"settings (also VOICED_… in the environment, or in the settings file{others})")
    for name, field in fields().items():
        assert isinstance(field.type, msgspec.inspect.Metadata)
        described, kind = (field.type.extra_json_schema or {})["description"], field.type.type
        listed, switch = isinstance(kind, msgspec.inspect.ListType), isinstance(kind, msgspec.inspect.BoolType)
        default = "none" if listed else as_toml_value(field.default).strip('"') or "empty"
        told = f"{described} ({'comma-separated; ' * listed}default: {default})"
        group.add_argument(
            "--" + name.replace("_", "-"),
            dest=f"setting_{name}",
            default=None,
            nargs="?" if switch else None,
            const="true" if switch else None,
            metavar="true|false" if switch else "VALUE,VALUE" if listed else "VALUE",
            help=told if shown is None or name in shown else argparse.SUPPRESS,
        )


def _settings(options: argparse.Namespace) -> Config:
    flags = {name: value for name in fields() if (value := getattr(options, f"setting_{name}", None)) is not None}
    return load_config(flags, file=options.config_file)


def _load_benchmark(parser: argparse.ArgumentParser, name: str) -> None:
    """Load the benchmark that is asked for and no other, since importing one imports torch."""
    module = import_module(f"realtime.bench.{name}")
    module.add_arguments(parser)
    parser.set_defaults(run=lambda options: _bench(module, options))


def _bench(module: Any, options: argparse.Namespace) -> int:
    from realtime.bench.report import show

    show(module, module.run(options), as_json=options.json)
    return 0


def _serve(options: argparse.Namespace) -> int:
    from realtime.commands.serve import serve

    config = _settings(options)
    logging.basicConfig(level=config.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if config.log_level != "debug":
        for name, least in _TALKATIVE.items():
            logging.getLogger(name).setLevel(max(least, logging.getLogger().level))
    make_uploads(config)
    try:
        return asyncio.run(serve(config))
    except OSError as error:
        print(f"voiced: {error}", file=sys.stderr)
        return 1


def _say(options: argparse.Namespace) -> int:
    from realtime.commands.say import Wish, say

    config = _settings(options)
    logging.basicConfig(level=logging.WARNING)
    text = sys.stdin.buffer.read().decode("utf-8-sig", "surrogateescape") if options.text == "-" else options.text
    wish = Wish(
        text=text,
        output=options.output,
        voice=options.voice,
        instructions=options.instructions,
        seed=options.seed,
        stats=options.stats,
        url=options.url,
    )
    return asyncio.run(say(wish, config))


def _talk(options: argparse.Namespace) -> int:
    from realtime.commands.talk import Talk, talk

    config = _settings(options)
    logging.basicConfig(level=logging.WARNING)
    wish = Talk(options.questions, options.output, options.as_json, options.silence_ms, options.url)
    return asyncio.run(talk(wish, config))


def _voices(options: argparse.Namespace) -> int:
    from realtime.voices.listing import list_voices

    voices = list_voices(_settings(options))
    width = max(map(len, voices))
    for name, origin in voices.items():
        print(f"{name:{width}}  {origin}")
    return 0


def _show_config(options: argparse.Namespace) -> int:
    print(as_toml(_settings(options)), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())

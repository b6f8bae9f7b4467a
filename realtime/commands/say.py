"""`voiced say`: one text into one file, through the same server and client as everybody else."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import os
import signal
import ssl
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec import UNSET

from clients.python import Speech, VoicedError, connect
from codec_stream.audio_file import write_wav
from codec_stream.containers import ContainerEncoder, ContainerFormat
from codec_stream.rate import SAMPLE_RATE
from protocol.objects import Generation
from realtime.commands.serve import describe, follow, running
from realtime.config import Config
from realtime.http.server import reached_at
from realtime.voices.listing import list_voices

_FORMATS: dict[str, ContainerFormat] = {
    "": "wav",
    ".wav": "wav",
    ".mp3": "mp3",
    ".opus": "opus",
    ".ogg": "opus",
    ".aac": "aac",
    ".flac": "flac",
    ".pcm": "pcm",
}
"""What a file's ending says of its format."""
_ENGINE_SETTINGS = (
    "model",
    "codec",
    "device",
    "dtype",
    "decoder",
    "look_ahead",
    "slots",
    "kv_positions",
    "prefill_positions",
    "max_lead_s",
    "max_clause_s",
    "threads",
    "front_end",
    "voices",
    "uploads",
)


class _Unsayable(ValueError):
    """A wish that no engine can fulfil; one sentence."""


@dataclass(frozen=True)
class Wish:
    """What to say, how, and where to put it."""

    text: str
    output: str
    voice: str | None
    instructions: str | None
    seed: int | None
    stats: bool
    url: str | None


async def say(wish: Wish, config: Config) -> int:
    """Speak and save; returns the exit status. Ctrl-C cancels it; pressed again, it waits for nothing any more."""
    _cancel_on_interrupt()
    try:
        _check(wish)
        async with _server(wish, config) as (url, tls):
            seed = UNSET if wish.seed is None else wish.seed
            generation = Generation(seed=seed, paced=wish.output == "-")  # a file need not wait for a listener
            key = config.api_keys[0] if config.api_keys else None
            async with connect(
                url,
                voice=wish.voice,
                instructions=wish.instructions,
                generation=generation,
                api_key=key,
                tls=tls,
            ) as conversation:
                speech = await conversation.say(wish.text)
                pcm = await _collect(speech, to_stdout=wish.output == "-")
        return _report(wish, speech, pcm)
    except VoicedError as error:
        advice = " voiced say sends the first of VOICED_API_KEYS." if error.code == "invalid_api_key" else ""
        print(f"voiced: {error}{advice}", file=sys.stderr)
        return 1
    except (_Unsayable, RuntimeError, OSError) as error:
        print(f"voiced: {error}", file=sys.stderr)
        return 1


def _check(wish: Wish) -> None:
    """What can be known before anything is loaded. Raises _Unsayable."""
    for name, given in (("the text", wish.text), ("--voice", wish.voice), ("--instructions", wish.instructions)):
        _check_utf8(name, given or "")
    if not wish.text.strip():
        raise _Unsayable("the text is empty; give some words to say.")
    if not any(map(str.isalnum, wish.text)):
        raise _Unsayable("the text has no word to speak; give letters or digits.")
    if wish.output == "-":
        return
    target = Path(wish.output)
    if target.suffix.lower() not in _FORMATS:
        endings = ", ".join(filter(None, _FORMATS))
        raise _Unsayable(f"{target}: {target.suffix} says no format that can be written; use one of {endings}.")
    try:
        _touch(target.resolve())
    except OSError as error:
        raise _Unsayable(f"{target} cannot be written ({error.strerror}); choose another file with -o.") from None


def _check_utf8(name: str, given: str) -> None:
    """Raise _Unsayable for text with bytes that were no UTF-8, which stand in it as surrogates."""
    try:
        given.encode()
    except UnicodeEncodeError as error:
        byte = ord(given[error.start]) & 0xFF
        raise _Unsayable(
            f"{name} is not UTF-8 (byte 0x{byte:02x} after {error.start} characters); convert it."
        ) from None


def _touch(target: Path) -> None:
    """Raise OSError if the file could not be written; it stays as it is."""
    there = target.exists()
    if there and not (target.is_file() or target.is_dir()):
        return  # a pipe's reader would take this for the end
    with target.open("ab"):
        pass
    if not there:
        target.unlink()


def write(target: Path, pcm: bytes) -> None:
    """The speech as a file, in the format its ending says. Raises OSError that names the file."""
    format = _FORMATS[target.suffix.lower()]
    try:
        if format == "wav":
            write_wav(target, pcm, SAMPLE_RATE)
            return
        encoder = ContainerEncoder(format, SAMPLE_RATE)
        target.write_bytes(encoder.push(pcm) + encoder.finish())
    except OSError as error:
        raise OSError(f"{target} cannot be written ({error.strerror}); choose another file with -o.") from error


def _cancel_on_interrupt() -> None:
    loop, speaking = asyncio.get_running_loop(), asyncio.current_task()
    assert speaking is not None

    def interrupted() -> None:
        loop.add_signal_handler(signal.SIGINT, os._exit, 130)  # the engine ends when its other end is gone
        speaking.cancel()

    loop.add_signal_handler(signal.SIGINT, interrupted)


async def _collect(speech: Speech, *, to_stdout: bool) -> bytes:
    chunks = []
    async for chunk in speech:
        if to_stdout:
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
        chunks.append(chunk)
    return b"".join(chunks)


def _report(wish: Wish, speech: Speech, pcm: bytes) -> int:
    response = speech.response
    assert response is not None
    if response.status == "failed":
        error = response.status_details.error if response.status_details is not None else UNSET
        print(f"voiced: {'the response failed' if error is UNSET else error.message}", file=sys.stderr)
        return 1
    seconds = len(pcm) / 2 / SAMPLE_RATE
    if wish.output != "-":
        write(Path(wish.output), pcm)
        print(f"voiced: {seconds:.2f} s of audio in {wish.output}", file=sys.stderr)
    if response.status == "incomplete":
        print("voiced: the speech reached its longest allowed length before it ended by itself", file=sys.stderr)
    if wish.stats and speech.first_audio_at is not None:
        took = time.monotonic() - speech.asked_at
        gaps = f"{len(speech.gaps_s)} gaps, longest {max(speech.gaps_s) * 1e3:.0f} ms" if speech.gaps_s else "no gaps"
        print(
            f"voiced: first audio after {(speech.first_audio_at - speech.asked_at) * 1e3:.0f} ms, "
            f"{seconds:.2f} s of audio in {took:.2f} s ({seconds / took:.1f} x real time), {gaps}",
            file=sys.stderr,
        )
    return 0


@contextlib.asynccontextmanager
async def _server(wish: Wish, config: Config) -> AsyncIterator[tuple[str, ssl.SSLContext | None]]:
    """The address of a server: the one given, the one that runs where the settings say, or one started here; and which
    certificates are trusted, if not those the system trusts."""
    configured = reached_at(config.host, config.port)
    tls = _tls(config.tls_cert) if config.tls_cert else None
    if wish.url is not None:
        _tell_ignored(config)
        yield wish.url, None
    elif (found := _running(configured, config.api_keys, tls)) is not None:
        runs, address = found
        print(f"voiced: using the server at {configured} ({runs})", file=sys.stderr)
        _tell_ignored(config)
        yield address, tls
    else:
        _check_voice(wish.voice, config)
        own = msgspec.structs.replace(config, host="127.0.0.1", port=0, drain_s=1.0, tls_cert="", tls_key="")
        async with running(own) as (_, gateway, url):
            info = await follow(gateway.engine)
            print(f"voiced: {describe(info)}", file=sys.stderr)
            yield url, None


def _check_voice(name: str | None, config: Config) -> None:
    """Raise _Unsayable for a voice that an engine of these settings will not have; the voices of a checkpoint that is
    still to be fetched cannot be known. Raises VoiceError for a folder of voices that cannot be used."""
    if name is None or (config.model and not Path(config.model).expanduser().is_dir()):
        return
    voices = list_voices(config)
    if name not in voices:
        close = difflib.get_close_matches(name, voices, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(sorted(voices))}."
        raise _Unsayable(f"there is no voice {name[:64]!r}; {hint}")


def _tell_ignored(config: Config) -> None:
    usual = Config()
    ignored = [name for name in _ENGINE_SETTINGS if getattr(config, name) != getattr(usual, name)]
    if ignored:
        print(f"voiced: it speaks with settings of its own; not used: {', '.join(ignored)}", file=sys.stderr)


def _running(address: str, api_keys: list[str], tls: ssl.SSLContext | None) -> tuple[str, str] | None:
    """What runs at an address, and the URL of its conversations. Without a certificate to trust, plain HTTP is tried
    first, then TLS with the authorities that the system trusts."""
    for secure in ("s",) if tls is not None else ("", "s"):
        if (runs := _ready(f"http{secure}://{address}/readyz", api_keys, tls)) is not None:
            return runs, f"ws{secure}://{address}/v1/realtime"
    return None


def _ready(url: str, api_keys: list[str], tls: ssl.SSLContext | None) -> str | None:
    """What runs at an address, if a voiced server is ready there that lets us in."""
    try:
        headers = {"Authorization": f"Bearer {api_keys[0]}"} if api_keys else {}
        asked = urllib.request.Request(url, headers=headers)
        with urllib.request.urlopen(asked, timeout=0.5, context=tls) as answer:
            body = msgspec.json.decode(answer.read())
            if body == {"status": "ready"}:  # all that is told without a key
                print(f"voiced: the server at {url} wants a key: give one in VOICED_API_KEYS", file=sys.stderr)
            return f"checkpoint {body['engine']['checkpoint']}" if body["status"] == "ready" else None
    except (OSError, ValueError, KeyError, TypeError, msgspec.DecodeError) as error:
        if isinstance(getattr(error, "reason", None), ssl.SSLCertVerificationError):
            advice = "to use it, name its certificate with --tls-cert"
            print(f"voiced: the certificate of the server at {url} is not trusted here: {advice}", file=sys.stderr)
        return None


def _tls(cert: str) -> ssl.SSLContext:
    """Trusts this certificate and no other, whatever name it was made out to: who has its key is our server. Raises
    OSError."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    first, end, _ = Path(cert).read_text(encoding="utf-8").partition("-----END CERTIFICATE-----")
    trusting.load_verify_locations(cadata=first + end)  # not those it was issued by: they issued others too
    return trusting

"""Speaks one text into one file (`voiced say`), through the same server and client that everybody else uses."""

from __future__ import annotations

import asyncio
import difflib
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from msgspec import UNSET

from clients.python import Speech, VoicedError, connect
from codec_stream.audio_file import write_wav
from codec_stream.containers import ContainerEncoder, ContainerFormat
from codec_stream.rate import SAMPLE_RATE
from protocol.objects import Generation
from realtime.commands.reach import reached
from realtime.config import Config
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


class _Unsayable(ValueError):
    """Says in one sentence why no engine can fulfil the wish."""


@dataclass(frozen=True)
class Wish:
    """Says what to speak, how, and where to put it."""

    text: str
    output: str
    voice: str | None
    instructions: str | None
    seed: int | None
    stats: bool
    url: str | None


async def say(wish: Wish, config: Config) -> int:
    """Speak the text, save it, and return the exit status.

    The first Ctrl-C cancels it; the second ends the process at once.
    """
    _cancel_on_interrupt()
    try:
        _check(wish)
        async with reached(wish.url, config, lambda: _check_voice(wish.voice, config)) as (url, tls):
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
    """Check what can be known before anything is loaded. Raises _Unsayable."""
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
    """Raise OSError if the file could not be written. The file stays as it is."""
    there = target.exists()
    if there and not (target.is_file() or target.is_dir()):
        return  # to open and close a pipe would tell its reader that the file has ended
    with target.open("ab"):
        pass
    if not there:
        target.unlink()


def write(target: Path, pcm: bytes) -> None:
    """Write speech (16-bit mono `pcm` at 24 kHz) to a file, in the format its ending says. Raises OSError that names
    it.
    """
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
        loop.add_signal_handler(signal.SIGINT, os._exit, 130)  # the engine notices that we are gone
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


def _check_voice(name: str | None, config: Config) -> None:
    """Raise _Unsayable for a voice that an engine of these settings will not have.

    The voices of a checkpoint that is still to be fetched cannot be known. Raises VoiceError for a folder of voices
    that cannot be used.
    """
    if name is None or (config.model and not Path(config.model).expanduser().is_dir()):
        return
    voices = list_voices(config)
    if name not in voices:
        close = difflib.get_close_matches(name, voices, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(sorted(voices))}."
        raise _Unsayable(f"there is no voice {name[:64]!r}; {hint}")

"""What a session needs of whoever understands speech: audio in, words out, or one sentence that says why not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Kind = Literal["final", "early", "partial"]
"""How urgent a job is: the text of a turn that is over, of one that may be over, of one that goes on."""


class NothingHeard(Exception):
    """There are no words in the audio: silence, noise, or a text that the model made up. The message is a sentence."""


class RecogniserUnavailable(Exception):
    """Nobody can listen just now: busy, lost, or without weights. The message is a sentence."""


@dataclass(frozen=True)
class Job:
    """Audio to be understood.

    `pcm` is 24 kHz 16-bit little endian mono. `language` is an ISO 639-1 code; without it the language is found, where
    the model knows several. `prompt` is text that stands before the audio, for its spelling. `words` asks for the times
    of words, `translate` for English.
    """

    pcm: bytes
    kind: Kind = "final"
    language: str = ""
    prompt: str = ""
    words: bool = False
    translate: bool = False


@dataclass(frozen=True)
class Word:
    """A word and when it was said, in seconds from the beginning of the job's audio."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Segment:
    """A piece of the text, some seconds long, and what the model thought of it: mean log-probability of a token,
    probability that there is no speech, how far the text compresses, the temperature it was drawn at."""

    text: str
    start_s: float
    end_s: float
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    temperature: float


@dataclass(frozen=True)
class Transcript:
    """What was said. `language` is an ISO 639-1 code, empty where it is not known; `duration_s` is the audio's."""

    text: str
    language: str
    duration_s: float
    segments: tuple[Segment, ...] = ()
    words: tuple[Word, ...] = ()


class Recogniser(Protocol):
    """Whoever understands speech."""

    @property
    def name(self) -> str:
        """What clients are told that understands them, such as "whisper tiny.en"; empty while there is none."""

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages it understands, as ISO 639-1 codes; empty where that is not known."""

    @property
    def why(self) -> str:
        """Why there is none, in one sentence; empty while there is one, or while it is not known yet."""

    async def run(self) -> None:
        """Keep running what it needs, until cancelled."""

    async def ready(self) -> None:
        """Wait until the name is known, or until it is known that there is none. `run` must be running."""

    def wake(self) -> None:
        """Get ready to work: a job will come soon."""

    async def transcribe(self, job: Job) -> Transcript:
        """Understand a job's audio. Raises NothingHeard and RecogniserUnavailable. When the task that waits here is
        cancelled, the job is dropped from the queue."""


class NoRecogniser:
    """Stands where nobody understands speech; `why` says why."""

    name = ""
    languages: tuple[str, ...] = ()

    def __init__(self, why: str) -> None:
        self.why = why

    async def run(self) -> None:
        """Nothing needs to be kept running."""

    async def ready(self) -> None:
        """Nobody needs to wait."""

    def wake(self) -> None:
        """There is nobody to wake."""

    async def transcribe(self, job: Job) -> Transcript:
        """Raises RecogniserUnavailable, always."""
        raise RecogniserUnavailable(self.why)

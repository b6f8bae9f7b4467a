"""Defines what a session asks of an engine, and what the engine answers: plain structs that both import.

A session says *what* is to be voiced: a scene, the voices, the words. How a model is prompted for it is decided in the
model's own room in `realtime.engine.models`. No struct here holds a clock or a path: all times are durations, so an
engine may run on another machine.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class RegisteredClip(msgspec.Struct, frozen=True, tag="registered"):
    """Names the clip of a registered voice."""

    name: str


class Clip(msgspec.Struct, frozen=True, tag="clip"):
    """Holds a clip that is sent along: 16-bit mono PCM at the codec's rate.

    It is encoded once and remembered by its content.
    """

    pcm: bytes


class Reference(msgspec.Struct, frozen=True):
    """Gives an example of a voice: a clip and the words that are said in it."""

    transcript: str
    clip: RegisteredClip | Clip


class Speaker(msgspec.Struct, frozen=True):
    """Describes one of several who speak in a dialogue.

    `tag` is what stands before their words in the text, without brackets: SPEAKER0. The voice is taken from `clip`, or
    else from `description` (words for the scene); with neither, the model picks one.
    """

    tag: str
    description: str = ""
    clip: RegisteredClip | Clip | None = None


class Voicing(msgspec.Struct, frozen=True):
    """Says who speaks and where: everything that comes before the words of a request.

    `system` is the application's own instruction to the model; empty leaves the model's default. `scene` describes the
    recording in lines of text. `voice` is the line by which a checkpoint knows one of its own voices. `references` are
    examples of the voice, oldest first. `speakers` are those of a dialogue.
    """

    system: str = ""
    scene: str = ""
    voice: str = ""
    references: list[Reference] = []
    speakers: list[Speaker] = []

    @property
    def clips(self) -> list[RegisteredClip | Clip]:
        """List all clips that have to be encoded before the first word: the speakers', then the references'."""
        of_speakers = [speaker.clip for speaker in self.speakers if speaker.clip is not None]
        return [*of_speakers, *(reference.clip for reference in self.references)]


class Sampling(msgspec.Struct, frozen=True):
    """Says how ids are drawn. None leaves the checkpoint's own default; `top_k=0` and `top_p=1` switch a filter off."""

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    greedy: bool | None = None
    ras: bool | None = None


class Speak(msgspec.Struct, frozen=True, tag="speak"):
    """Asks for `text` to be spoken: one clause, one request.

    With a `context_id`, what the same context spoke before comes between the voicing and the text, so that the voice
    goes on where it stopped. `more` says that the context goes on with another clause at once: its place in the batch
    is kept for it. `max_frames` bounds what is spoken.

    `lead_s` is how many seconds of audio the listener still holds. The listener plays at `speed` times real time. At
    most `max_lead_s` seconds are made ahead of it (None: the engine's own bound). A request that is not `paced` has no
    listener: it is generated as fast as the paced ones allow.
    """

    request_id: str
    text: str
    voicing: Voicing = Voicing()
    context_id: str = ""
    sampling: Sampling = Sampling()
    seed: int = 0
    max_frames: int | None = None
    lead_s: float = 0.0
    paced: bool = True
    more: bool = False
    max_lead_s: float | None = None
    speed: float = 1.0


class Used(msgspec.Struct, frozen=True):
    """Counts what a request has taken so far.

    `prompt_positions` are those of its prompt; `audio_positions` are the audio rows among them, `cached_positions`
    those found in the cache. `frames` were spoken.
    """

    prompt_positions: int = 0
    audio_positions: int = 0
    cached_positions: int = 0
    frames: int = 0


EndReason = Literal["stop", "length", "cancelled", "failed", "overloaded", "invalid"]


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """Ends a request: it is the last word on it, and all its audio came before.

    `reason` is stop (the model ended it), length (it hit the cap), cancelled, failed (our fault), overloaded (it was
    not admitted) or invalid (the request's fault; `field` says where). Counts are those of `Used`; `samples` are at the
    codec's rate.
    """

    request_id: str
    reason: EndReason
    error: str = ""
    field: str = ""
    prompt_positions: int = 0
    audio_positions: int = 0
    cached_positions: int = 0
    frames: int = 0
    samples: int = 0

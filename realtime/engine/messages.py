"""Defines the messages between the gateway and the engine: one inbox, one message per step back.

They are plain msgspec structs, so that the same objects travel in-process (tests) and as msgpack over a socket
(worker). PCM is 16-bit little endian mono at the codec's rate. All times are durations in seconds: no message holds a
clock, and no process compares its own with another's.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from realtime.request import Ended, Speak, Used


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Stops a request wherever it is; unknown and finished ids are ignored."""

    request_id: str


class Hold(msgspec.Struct, frozen=True, tag="hold"):
    """Says that the listener of a request stopped (or resumed) taking audio. It is not served meanwhile."""

    request_id: str
    held: bool


class DropContext(msgspec.Struct, frozen=True, tag="drop_context"):
    """Asks to forget what a context spoke."""

    context_id: str


class RegisterVoice(msgspec.Struct, frozen=True, tag="register_voice"):
    """Asks to clone a voice from a clip and keep it under `name`.

    It can be spoken with at once: a request waits for the encoding. The answer is a `VoiceRegistered` with the same
    `ticket`.
    """

    name: str
    pcm: bytes
    ticket: int


class ForgetVoice(msgspec.Struct, frozen=True, tag="forget_voice"):
    """Asks to forget a voice; what speaks with it goes on. Unknown names are ignored."""

    name: str


class Shutdown(msgspec.Struct, frozen=True, tag="shutdown"):
    """Asks the worker to leave now."""


class VoiceClip(msgspec.Struct, frozen=True):
    """A registered voice: its name, the clip it is cloned from (16-bit mono PCM at 24 kHz), and the words said in it.
    An engine may run on another machine, so no message names a file of the gateway's."""

    name: str
    pcm: bytes
    transcript: str = ""


class EngineConfig(msgspec.Struct, frozen=True):
    """Says what an engine runs and how much of it; it is the worker's first message.

    An empty `model` is the built-in checkpoint. A `codec` of None is the one that the checkpoint names. With `threads`
    0 half the cores are used.
    """

    model: str = ""
    codec: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    decoder: str = "low-latency"
    look_ahead: int = 4
    slots: int = 16
    kv_positions: int = 0  # 0: 1024 for each slot
    prefill_positions: int = 0  # 0: what the device takes without making others wait
    max_lead_s: float = 2.0
    max_clause_s: float = 30.0
    max_reference_s: float = 30.0
    threads: int = 0
    admit_by_rate: bool = True
    front_end: str = ""  # empty: what the checkpoint's manifest asks for
    voices: list[VoiceClip] = []


Inbound = Speak | Cancel | Hold | DropContext | RegisterVoice | ForgetVoice | Shutdown


class Audio(msgspec.Struct, frozen=True, tag="audio"):
    """Carries PCM of one request, which starts at sample `position` of its utterance.

    `used` is what the request has taken up to the end of it.
    """

    request_id: str
    position: int
    pcm: bytes
    used: Used = Used()


class Alive(msgspec.Struct, frozen=True, tag="alive"):
    """Says that the worker runs, whatever it is doing. It comes several times a second."""


class Loading(msgspec.Struct, frozen=True, tag="loading"):
    """Tells a stage of getting ready, for people who wait."""

    stage: str


class EngineInfo(msgspec.Struct, frozen=True, tag="ready"):
    """Describes in full what runs, so that nothing falls back silently.

    `markers` are reserved by the checkpoint: no text may hold them.
    """

    checkpoint: str
    kind: Literal["speech", "noise"]
    device: str
    dtype: str
    attention: str
    decoder: str
    look_ahead_frames: int
    sample_rate: int
    samples_per_frame: int
    max_slots: int
    pages: int
    page_size: int
    max_clause_chars: int
    max_scene_chars: int
    front_end: str
    clip_voices: list[str]
    scene_voices: dict[str, str]  # voices a checkpoint knows by a line of the scene: name -> line
    default_voice: str
    threads: int
    markers: list[str] = []


class Gauges(msgspec.Struct, frozen=True, tag="gauges"):
    """Gives the state of the engine in numbers. `steps` and `rows` are totals since it started."""

    requests: int = 0
    slots: int = 0
    pages_held: int = 0
    contexts: int = 0
    steps: int = 0
    rows: int = 0
    step_ms: float = 0.0


Event = Audio | Ended


class StepOutput(msgspec.Struct, frozen=True, tag="step"):
    """Carries all that one step produced, for all streams."""

    events: list[Event]
    gauges: Gauges


class VoiceRegistered(msgspec.Struct, frozen=True, tag="voice_registered"):
    """Answers a `RegisterVoice`. An empty `error` says that it succeeded; otherwise it is one sentence about its
    clip.
    """

    ticket: int
    error: str = ""


class LoadFailed(msgspec.Struct, frozen=True, tag="load_failed"):
    """Says that the engine could not get ready, and why. It will not try again by itself."""

    error: str


Outbound = Alive | Loading | EngineInfo | LoadFailed | StepOutput | VoiceRegistered

"""Typed messages between the gateway and the process that recognises speech: one job at a time in, its answer out."""

from __future__ import annotations

import msgspec

from realtime.recognition.recogniser import Job, Transcript


class Prepare(msgspec.Struct, frozen=True, tag="prepare"):
    """The first message: which weights, as `weights.find_weights` takes them."""

    setting: str
    model: str


class Load(msgspec.Struct, frozen=True, tag="load"):
    """Load the weights that were found; jobs will come."""


class Work(msgspec.Struct, frozen=True, tag="work"):
    """Understand this, of at most 30 s. The gateway gives the numbers, each once."""

    number: int
    job: Job


Inbound = Prepare | Load | Work


class Alive(msgspec.Struct, frozen=True, tag="alive"):
    """The process is there, whatever it does."""


class Found(msgspec.Struct, frozen=True, tag="found"):
    """There are weights."""

    name: str
    languages: tuple[str, ...]


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """It cannot work, and will not if it is started again: one sentence says why."""

    why: str


class Loaded(msgspec.Struct, frozen=True, tag="loaded"):
    """Jobs can come."""


class Understood(msgspec.Struct, frozen=True, tag="understood"):
    """A job's text."""

    number: int
    transcript: Transcript


class NotUnderstood(msgspec.Struct, frozen=True, tag="not_understood"):
    """Why a job has no text: one sentence. `nothing`: there are no words in it. Otherwise it failed, by itself."""

    number: int
    why: str
    nothing: bool


Outbound = Alive | Found | Failed | Loaded | Understood | NotUnderstood

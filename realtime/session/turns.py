"""When the user begins and ends to speak, told from scores of speech. Positions are samples of the session's input
audio: 0 is the first that ever came."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import UNSET, UnsetType

from protocol.objects import SemanticVad, TurnDetection
from realtime.session.messages import SCORE_SAMPLES

_ONSET_WINDOWS = 2
"""A click is one window of speech to any detector."""
_HYSTERESIS = 0.15
_LEAST_THRESHOLD = 0.01
_EAGERNESS_MS = {"low": 1000, "medium": 600, "auto": 600, "high": 300}
_SEMANTIC_THRESHOLD, _SEMANTIC_PADDING_MS = 0.5, 300


@dataclass(frozen=True)
class Started:
    """Speech began at this sample."""

    at_sample: int


@dataclass(frozen=True)
class Stopped:
    """The turn is over, with all of the silence that ended it, at this sample."""

    at_sample: int


@dataclass(frozen=True)
class TurnRules:
    """What a turn is: a score from `threshold` on is speech, `silence_samples` without end it, `padding_samples` before
    its first sound belong to it. `idle_s` is how long nobody may speak after a response; None: for ever."""

    threshold: float
    padding_samples: int
    silence_samples: int
    interrupts: bool = True
    idle_s: float | None = None


def rules_of(detection: TurnDetection, sample_rate: int) -> TurnRules:
    """The rules that effective settings stand for. Nothing here understands where a sentence ends: `semantic_vad` waits
    for silence too, and its `eagerness` says for how long: low 1000 ms, medium and auto 600 ms, high 300 ms."""
    interrupts = detection.interrupt_response is True
    if isinstance(detection, SemanticVad):
        padding_ms, silence_ms = _SEMANTIC_PADDING_MS, _EAGERNESS_MS[detection.eagerness or "auto"]
        threshold, idle_s = _SEMANTIC_THRESHOLD, None
    else:
        threshold = _given(detection.threshold)
        padding_ms, silence_ms = _given(detection.prefix_padding_ms), _given(detection.silence_duration_ms)
        idle_s = detection.idle_timeout_ms / 1000 if isinstance(detection.idle_timeout_ms, int) else None
    return TurnRules(threshold, padding_ms * sample_rate // 1000, silence_ms * sample_rate // 1000, interrupts, idle_s)

"""Finds when the user begins and stops to speak, from scores of speech.

Positions are samples of the session's input audio: 0 is the first that ever came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.objects import SemanticVad, TurnDetection
from realtime.session.messages import SCORE_SAMPLES

_ONSET_WINDOWS = 2
"""How many windows of speech begin a turn. One is too few: to any detector, a click is one window of speech."""
_HYSTERESIS = 0.15
_LEAST_THRESHOLD = 0.01
_SEMANTIC_THRESHOLD, _SEMANTIC_PADDING_MS = 0.5, 300
_EAGERNESS_MS = {"low": 1000, "medium": 600, "auto": 600, "high": 300}


@dataclass(frozen=True)
class Started:
    """Says that speech began at the sample `at_sample`."""

    at_sample: int


@dataclass(frozen=True)
class Stopped:
    """Says that speech has ended. At the sample `at_sample` the silence after it had lasted long enough."""

    at_sample: int


@dataclass(frozen=True)
class TurnRules:
    """Says what a turn is.

    Scores of at least `threshold` are speech. A turn ends after `silence_samples` without any. The `padding_samples`
    before its first sound belong to it. `interrupts` says that the session falls silent when a turn begins. `idle_s` is
    for how many seconds nobody may speak after a response; None says that there is no limit.
    """

    threshold: float
    padding_samples: int
    silence_samples: int
    interrupts: bool = True
    idle_s: float | None = None


def rules_of(detection: TurnDetection, sample_rate: int) -> TurnRules:
    """Return the rules that effective settings stand for.

    Nothing here understands where a sentence ends. So `semantic_vad` waits for silence too, and its `eagerness` says
    for how long: low 1000 ms, medium and auto 600 ms, high 300 ms.
    """
    interrupts = detection.interrupt_response is True
    if isinstance(detection, SemanticVad):
        silence_ms = _EAGERNESS_MS[detection.eagerness or "auto"]
        padding = _SEMANTIC_PADDING_MS * sample_rate // 1000
        return TurnRules(_SEMANTIC_THRESHOLD, padding, silence_ms * sample_rate // 1000, interrupts)
    return TurnRules(
        threshold=detection.threshold or 0.0,
        padding_samples=(detection.prefix_padding_ms or 0) * sample_rate // 1000,
        silence_samples=(detection.silence_duration_ms or 0) * sample_rate // 1000,
        interrupts=interrupts,
        idle_s=detection.idle_timeout_ms / 1000 if isinstance(detection.idle_timeout_ms, int) else None,
    )


class ScoredWindows:
    """Finds where in the audio the windows lie that it was scored in.

    They follow each other from the first audio on that was scored. Should there come more or fewer scores than the
    audio has windows, the places are off by less than one window.
    """

    def __init__(self) -> None:
        self._rest = 0

    def ends(self, samples: int, scores: Sequence[float]) -> list[int]:
        """Return, for each score that came with the next `samples`, where among these its window ends."""
        self._rest = min(max(self._rest + samples - len(scores) * SCORE_SAMPLES, 0), SCORE_SAMPLES - 1)
        last = samples - self._rest
        return [max(0, last - SCORE_SAMPLES * after) for after in range(len(scores) - 1, -1, -1)]


class TurnDetector:
    """Finds turns from scores.

    Two windows of speech begin a turn. Silence ends it, once that is long enough: it begins with a score that is below
    the threshold by 0.15 (by half of the threshold, if that is less), and lasts until there is speech. A change of
    rules counts from the next score on.
    """

    def __init__(self) -> None:
        self.speaking = False
        self._onset = 0
        self._loud_windows = 0
        self._quiet_from: int | None = None

    @property
    def quiet_from(self) -> int | None:
        """Return the sample at which the silence began that may end the turn; None while there is none, or no turn."""
        return self._quiet_from if self.speaking else None

    def push(self, score: float, end: int, rules: TurnRules) -> Started | Stopped | None:
        """Take the score of the window that ends before the sample `end`; return the turn's start or end, if it is one.

        `end` never goes back.
        """
        threshold = max(rules.threshold, _LEAST_THRESHOLD)
        loud, quiet = score >= threshold, score < max(threshold - _HYSTERESIS, threshold / 2)
        start = end - SCORE_SAMPLES
        return self._in_speech(loud, quiet, start, rules) if self.speaking else self._in_silence(loud, quiet, start)

    def _in_silence(self, loud: bool, quiet: bool, start: int) -> Started | None:
        if quiet:
            self._loud_windows = 0
        elif loud:
            if self._loud_windows == 0:
                self._onset = max(0, start)
            self._loud_windows += 1
        if self._loud_windows < _ONSET_WINDOWS:
            return None
        self.speaking, self._loud_windows, self._quiet_from = True, 0, None
        return Started(self._onset)

    def _in_speech(self, loud: bool, quiet: bool, start: int, rules: TurnRules) -> Stopped | None:
        if loud:
            self._quiet_from = None
        elif quiet and self._quiet_from is None:
            self._quiet_from = start
        if self._quiet_from is None or start + SCORE_SAMPLES - self._quiet_from < rules.silence_samples:
            return None
        self.speaking = False
        return Stopped(self._quiet_from + rules.silence_samples)

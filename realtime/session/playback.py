"""Says who plays a session's speech, and tells what was played of it.

A way of playback is an object that makes a clock for each response. A client that plays by itself reports nothing, so
its clock estimates. Where the server plays, every sample that goes out is reported, and the clock counts. A wire whose
other side confirms what it played would be one more clock.
"""

from __future__ import annotations

from typing import Protocol

_HELD_FROM_S = 1.0
_HELD_UNTIL_S = 0.25
"""The making of speech is held while it does not leave: from `_HELD_FROM_S` seconds of waiting speech on, until no more
than `_HELD_UNTIL_S` wait."""

_PREBUFFER_S = 1.0
"""Where the server plays, speech waits there by design: as much as the engine's lead, and this many seconds beside
it."""


class PlayoutClock(Protocol):
    """Tells how much of one response's speech has left and how much was played.

    It counts samples. `now` is in seconds of a clock that does not go back.
    """

    @property
    def left(self) -> int:
        """Return how many samples have left for good: they cannot be taken back."""

    def send(self, samples: int, now: float) -> None:
        """Note that `samples` more were handed to whoever plays."""

    def play(self, samples: int) -> None:
        """Note a report that `samples` more were played."""

    def played(self, now: float) -> int:
        """Tell how many samples were played by now."""

    def unplayed_s(self, now: float) -> float:
        """Tell for how many seconds what has left still plays."""


class Playback(Protocol):
    """Says in which way the speech of a session is played."""

    by_server: bool
    """Whether the server plays, in real time. Then speech may be played after its response is over, and what has not
    gone out can be taken back."""

    def clock(self, sample_rate: int) -> PlayoutClock:
        """Make the clock of one response."""

    def most_unsent_s(self, max_lead_s: float, *, held: bool) -> float:
        """Tell how many seconds of speech may wait to leave before its making is held.

        Where it is `held`, tell how many may remain when it goes on. `max_lead_s` is how many seconds ahead of the
        listener the engine speaks.
        """


class EstimatedClock:
    """Estimates what a client has played.

    Its listener is taken to start with the first audio, to play in real time, and to wait when it runs dry.
    """

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._empties_at = 0.0
        self.left = 0

    def send(self, samples: int, now: float) -> None:
        self.left += samples
        self._empties_at = max(self._empties_at, now) + samples / self._rate

    def play(self, samples: int) -> None:
        raise AssertionError("a client that plays by itself reports nothing")

    def played(self, now: float) -> int:
        return max(0, self.left - round(self.unplayed_s(now) * self._rate))

    def unplayed_s(self, now: float) -> float:
        return max(0.0, self._empties_at - now)


class CountingClock:
    """Counts what was played, as whoever plays reports every sample that goes out."""

    def __init__(self) -> None:
        self.left = 0

    def send(self, samples: int, now: float) -> None:
        pass  # it has not left: it waits with the player, and can be taken back

    def play(self, samples: int) -> None:
        self.left += samples

    def played(self, now: float) -> int:
        return self.left

    def unplayed_s(self, now: float) -> float:
        return 0.0


class ClientPlays:
    """Lets the client play: speech leaves as it is made, faster than it is played."""

    by_server = False

    def clock(self, sample_rate: int) -> PlayoutClock:
        return EstimatedClock(sample_rate)

    def most_unsent_s(self, max_lead_s: float, *, held: bool) -> float:
        return _HELD_UNTIL_S if held else _HELD_FROM_S


class ServerPlays:
    """Lets the server play: speech leaves in packets, in real time."""

    by_server = True

    def clock(self, sample_rate: int) -> PlayoutClock:
        return CountingClock()

    def most_unsent_s(self, max_lead_s: float, *, held: bool) -> float:
        return max_lead_s + _PREBUFFER_S + (_HELD_UNTIL_S if held else _HELD_FROM_S)


CLIENT_PLAYS, SERVER_PLAYS = ClientPlays(), ServerPlays()

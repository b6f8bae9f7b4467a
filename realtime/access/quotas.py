"""Counts what each key uses of a server, against what it may use. Pure: the clock is an input.

Without bounds one key could take every session, every voice and every second of the machine. An operator sets these
bounds against that. Use with a client secret counts for the key that minted it; all clients without a key share one
account.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol.errors import Refused

_DAY_S = 86_400.0
_RETRY_S = 5


@dataclass(frozen=True)
class Allowance:
    """Bounds what each key may use; 0 is no bound.

    `sessions`, `responses` and `offers` (of calls that are not connected yet) bound how many there may be at one time.
    `speech_s` bounds the seconds of speech made within 24 hours of the first of them.
    """

    sessions: int = 0
    responses: int = 0
    offers: int = 0
    speech_s: float = 0.0


class Account:
    """Counts what one key uses. Every `begin_…` that returned is followed by one `end_…`."""

    def __init__(self, allowance: Allowance | None = None) -> None:
        self._allowance = allowance or Allowance()
        self._day_began: float | None = None
        self._spoken_s = 0.0
        self.sessions = 0
        self.responses = 0
        self.offers = 0

    def begin_session(self) -> None:
        """Count a session. Raises Refused at the bound."""
        self._check("sessions", self.sessions, self._allowance.sessions, "end one, or wait for one to end")
        self.sessions += 1

    def end_session(self) -> None:
        """Count a session no longer."""
        self.sessions -= 1

    def begin_offer(self) -> None:
        """Count an offer that is not connected yet. Raises Refused at the bound."""
        self._check("calls that are not connected yet", self.offers, self._allowance.offers, "connect them first")
        self.offers += 1

    def end_offer(self) -> None:
        """Count an offer no longer: it was connected, or never will be."""
        self.offers -= 1

    def begin_response(self, now: float) -> None:
        """Count a response that begins at `now`, in seconds. Raises Refused at the bound, or when the day's speech is
        used up."""
        self._check("responses at once", self.responses, self._allowance.responses, "wait for one to end")
        most_s = self._allowance.speech_s
        if most_s and self._spoken_today(now) >= most_s:
            assert self._day_began is not None
            left_s = max(1, round(self._day_began + _DAY_S - now))
            message = f"This key has had its {most_s:g} s of speech for the day; more can be had in {left_s} s."
            raise Refused("rate_limit_exceeded", message, retry_after_s=left_s)
        self.responses += 1

    def end_response(self) -> None:
        """Count a response no longer."""
        self.responses -= 1

    def spoke(self, seconds: float, now: float) -> None:
        """Count `seconds` of speech that were made at `now`, in seconds."""
        self._spoken_s = self._spoken_today(now) + seconds
        if self._day_began is None:
            self._day_began = now

    def _spoken_today(self, now: float) -> float:
        if self._day_began is not None and now - self._day_began >= _DAY_S:
            self._day_began, self._spoken_s = None, 0.0
        return self._spoken_s

    @staticmethod
    def _check(what: str, used: int, most: int, fix: str) -> None:
        if most and used >= most:
            message = f"This key has all the {what} it may have ({most}); {fix}."
            raise Refused("rate_limit_exceeded", message, retry_after_s=_RETRY_S)


class Quotas:
    """Keeps the accounts of a server's keys.

    There is one for each key, and none is dropped: it remembers the speech of the day.
    """

    def __init__(self, allowance: Allowance | None = None) -> None:
        self._allowance = allowance
        self._accounts: dict[str, Account] = {}

    def account(self, key: str) -> Account:
        """Return the account of a key, by its name. Clients without a key share one."""
        return self._accounts.setdefault(key, Account(self._allowance))

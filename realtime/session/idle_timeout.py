"""Measures for how long nobody has spoken since the session's last speech was heard to its end."""

from __future__ import annotations

from protocol.objects import MessageItem
from realtime.session.conversation import Entry
from realtime.session.responses import Responses
from realtime.session.shared import Shared


class IdleTimeout:
    """Waits for the user's answer to each spoken response of the conversation, once."""

    def __init__(self, shared: Shared, responses: Responses) -> None:
        self._shared = shared
        self._responses = responses
        self._since: tuple[float, int] | None = None  # when the silence began: the time, and the sample of the input
        self._over: Entry | None = None  # the last speech, once it was answered or its answer was late

    def user_spoke(self) -> None:
        """Note that the user speaks: no answer to the last speech is waited for any more."""
        self._since, self._over = None, self._last_speech()

    def overdue(self, patience_s: float | None, heard: int) -> int | None:
        """Return the sample of the input at which the silence began, once an answer is late; otherwise None.

        An answer is late when nobody has spoken for `patience_s` seconds; None says that it never is. `heard` is the
        sample that the input has come to. This has to be called again and again, and tells of each silence once.
        """
        spoken, now = self._last_speech(), self._shared.now
        if patience_s is None or spoken is None or spoken is self._over or not self._played_out(spoken):
            self._since = None
            return None
        if self._since is None:
            self._since = now, heard
        since, start = self._since
        if now - since < patience_s:
            return None
        self._since, self._over = None, spoken
        return start

    def _last_speech(self) -> Entry | None:
        return next((entry for entry in reversed(self._shared.conversation.entries) if entry.playout is not None), None)

    def _played_out(self, spoken: Entry) -> bool:
        """Tell whether all of `spoken` was heard that there is to hear: to its end, or to where it was cut."""
        if self._responses.spoken is not None or spoken.playout is None:
            return False
        cut = spoken.played is not None or (isinstance(spoken.item, MessageItem) and spoken.item.status == "incomplete")
        return cut or spoken.playout.played(self._shared.now) >= spoken.playout.sent

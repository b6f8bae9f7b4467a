"""How long nobody has spoken since the session's last speech was heard to its end."""

from __future__ import annotations

from protocol.objects import MessageItem
from realtime.session.conversation import Entry
from realtime.session.responses import Responses
from realtime.session.shared import Shared


class IdleTimeout:
    """Waits for an answer to each spoken response of the conversation, once."""

    def __init__(self, shared: Shared, responses: Responses) -> None:
        self._shared = shared
        self._responses = responses
        self._since: tuple[float, int] | None = None  # the time, and the sample of the input
        self._over: Entry | None = None  # speech that nobody waits for an answer to any more

    def user_spoke(self) -> None:
        """The user speaks."""
        self._since, self._over = None, self._last_speech()

    def overdue(self, patience_s: float | None, heard: int) -> int | None:
        """Once the answer is `patience_s` late (None: it never is), the sample of the input that the silence began at.
        To be asked now and then; `heard` is the sample that the input has come to."""
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
        """All of it was heard that there is to hear: to its end, or to where it was cut."""
        if self._responses.spoken is not None or spoken.playout is None:
            return False
        cut = spoken.played is not None or (isinstance(spoken.item, MessageItem) and spoken.item.status == "incomplete")
        return cut or spoken.playout.played(self._shared.now) >= spoken.playout.sent

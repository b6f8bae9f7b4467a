"""Scope: whatever a client, a brain, an engine and a network do in whatever order, what must always hold, holds.

`python -m tests.fuzz sessions calls` takes many more steps.
"""

from hypothesis import settings

from tests.session.playing import PlayingSessions
from tests.session.sessions import Sessions

Sessions.TestCase.settings = settings(max_examples=120, stateful_step_count=60, deadline=None)
PlayingSessions.TestCase.settings = settings(max_examples=120, stateful_step_count=60, deadline=None)
TestSessions = Sessions.TestCase
TestPlayingSessions = PlayingSessions.TestCase

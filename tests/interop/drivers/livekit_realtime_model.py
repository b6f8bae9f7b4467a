"""LiveKit's RealtimeModel in one AgentSession: a whole utterance, one interrupted in the middle, a whole one again."""

import asyncio
import sys

from facts import heard, remembered, tell
from livekit.agents import Agent, AgentSession
from livekit.agents.voice.io import TextOutput, TimedString
from livekit_realtime import Speaker, kept, realtime, say

STOP_AFTER_S = 0.8


class Words(TextOutput):
    """Takes the transcript as it comes; `timed` are the pieces that say when."""

    def __init__(self) -> None:
        super().__init__(label="words", next_in_chain=None)
        self.pieces = 0
        self.timed: list[float] = []

    async def capture_text(self, text: str) -> None:
        self.pieces += 1
        if isinstance(text, TimedString):
            self.timed.append(text.start_time)

    def flush(self) -> None:
        pass


async def main(first: str, long: str, last: str) -> None:
    errors: list[str] = []
    model = realtime()
    session = AgentSession(llm=model)
    session.on("error", lambda event: errors.append(str(event.error)))
    session.output.audio = speaker = Speaker()
    session.output.transcription = words = Words()
    agent = Agent(instructions="Audio is recorded from a quiet room.")
    await session.start(agent)

    await say(session, first)
    whole = heard(speaker.pcm, transcript=remembered(session), pieces=words.pieces, timed=list(words.timed))

    speaker.pcm = b""
    await say(session, long, STOP_AFTER_S)
    item_id, history = await kept(agent)
    cut = heard(speaker.pcm, history=history, item_id=item_id)

    speaker.pcm = b""
    await say(session, last)
    again = heard(speaker.pcm, transcript=remembered(session))
    await session.aclose()
    await model.aclose()
    tell(first=whole, cut=cut, last=again, errors=errors)


asyncio.run(main(*sys.argv[1:]))

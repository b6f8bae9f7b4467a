"""LiveKit's RealtimeModel in one AgentSession: a whole utterance, one interrupted in the middle, a whole one again."""

import asyncio
import sys

from facts import heard, tell
from livekit.agents import Agent, AgentSession
from livekit.agents.voice.io import TextOutput, TimedString
from livekit_realtime import Speaker, realtime, remembered, say

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
    item_id, kept = await server_item(agent)
    cut = heard(speaker.pcm, history=kept, item_id=item_id)

    speaker.pcm = b""
    await say(session, last)
    again = heard(speaker.pcm, transcript=remembered(session))
    await session.aclose()
    await model.aclose()
    tell(first=whole, cut=cut, last=again, errors=errors)


async def server_item(agent: Agent) -> tuple[str, str]:
    """The last assistant item as the server holds it: LiveKit's own copy is the text it was given."""
    realtime_session = agent.realtime_llm_session
    retrieved: asyncio.Future[dict] = asyncio.get_running_loop().create_future()

    def listen(event: dict) -> None:
        if event["type"] == "conversation.item.retrieved" and not retrieved.done():
            retrieved.set_result(event["item"])

    realtime_session.on("openai_server_event_received", listen)
    last = [item for item in realtime_session.chat_ctx.items if item.type == "message" and item.role == "assistant"][-1]
    realtime_session.send_event({"type": "conversation.item.retrieve", "item_id": last.id})
    item = await retrieved
    realtime_session.off("openai_server_event_received", listen)
    return item["id"], "".join(part.get("transcript", "") for part in item["content"])


asyncio.run(main(*sys.argv[1:]))

"""LiveKit recycles its socket after a while and tells the new session the history: here, after every utterance."""

import asyncio
import sys

from facts import heard, remembered, tell
from livekit.agents import Agent, AgentSession
from livekit.plugins import openai
from livekit_realtime import KEY, URL, Speaker, say


async def main(first: str, last: str) -> None:
    errors: list[str] = []
    model = openai.realtime.RealtimeModel(
        base_url=f"{URL}/v1", api_key=KEY, model="voiced", voice="ada", max_session_duration=1.0
    )
    session = AgentSession(llm=model)
    session.on("error", lambda event: errors.append(str(event.error)))
    session.output.audio = speaker = Speaker()
    agent = Agent(instructions="Audio is recorded from a quiet room.")
    await session.start(agent)
    reconnected = asyncio.Event()
    agent.realtime_llm_session.on("session_reconnected", lambda event: reconnected.set())

    await say(session, first)
    await reconnected.wait()
    speaker.pcm = b""
    await say(session, last)
    await session.aclose()
    await model.aclose()
    tell(last=heard(speaker.pcm, transcript=remembered(session)), errors=errors)


asyncio.run(main(*sys.argv[1:]))

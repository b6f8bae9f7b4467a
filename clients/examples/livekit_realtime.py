"""A LiveKit AgentSession whose openai.realtime.RealtimeModel speaks through voiced, and is interrupted in mid-sentence.

    python livekit_realtime.py "The train leaves at nine." -o train.wav
    python livekit_realtime.py "The train leaves at nine." -o train.wav --stop-after 0.6

Only `base_url` differs from the hosted API. VOICE_SERVER and VOICE_KEY name another server than this machine's.
In a room, leave `Speaker` out: AgentSession.start(room=…) plays there.
"""

import argparse
import asyncio
import os
import time
import wave

from livekit import rtc
from livekit.agents import Agent, AgentSession
from livekit.agents.voice.io import AudioOutput, AudioOutputCapabilities
from livekit.plugins import openai

URL = os.environ.get("VOICE_SERVER", "http://127.0.0.1:8080")
KEY = os.environ.get("VOICE_KEY", "none")


class Speaker(AudioOutput):
    """Plays into memory at the pace of a real loudspeaker; `pcm` is all it was given."""

    def __init__(self) -> None:
        super().__init__(label="speaker", capabilities=AudioOutputCapabilities(pause=False), sample_rate=24000)
        self.pcm = b""
        self.playing = asyncio.Event()
        self._began: float | None = None
        self._seconds = 0.0
        self._end: asyncio.TimerHandle | None = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if self._began is None:
            self._began = time.monotonic()
            self.on_playback_started(created_at=time.time())
            self.playing.set()
        self.pcm += bytes(frame.data)
        self._seconds += frame.duration

    def flush(self) -> None:
        super().flush()
        if self._began is not None and self._end is None:
            left = self._began + self._seconds - time.monotonic()
            self._end = asyncio.get_running_loop().call_later(max(0.0, left), self._finish, False)

    def clear_buffer(self) -> None:
        if self._began is not None:
            self._finish(True)

    def _finish(self, interrupted: bool) -> None:
        assert self._began is not None
        played = min(self._seconds, time.monotonic() - self._began)
        if self._end is not None:
            self._end.cancel()
        self._began, self._seconds, self._end = None, 0.0, None
        self.on_playback_finished(playback_position=played, interrupted=interrupted)


def realtime(url: str = URL, key: str = KEY, voice: str = "ada") -> openai.realtime.RealtimeModel:
    """LiveKit's model, pointed at voiced."""
    return openai.realtime.RealtimeModel(base_url=f"{url}/v1", api_key=key, model="voiced", voice=voice)


async def say(session: AgentSession, text: str, stop_after: float | None = None) -> None:
    """Until `text` is played; with `stop_after`, only that many seconds of it."""
    speaker = session.output.audio
    assert isinstance(speaker, Speaker)
    speaker.playing.clear()
    handle = session.generate_reply(user_input=text)
    if stop_after is not None:
        await speaker.playing.wait()
        await asyncio.sleep(stop_after)
        await session.interrupt()
    await handle
    if error := handle.exception():
        raise error


async def kept(agent: Agent) -> tuple[str, str]:
    """The assistant's last item as the server keeps it: its id, and the words that were heard. LiveKit's own history
    holds all the words that came, which run ahead of the speech, also after an interruption."""
    session = agent.realtime_llm_session
    retrieved: asyncio.Future[dict] = asyncio.get_running_loop().create_future()

    def listen(event: dict) -> None:
        if event["type"] == "conversation.item.retrieved" and not retrieved.done():
            retrieved.set_result(event["item"])

    session.on("openai_server_event_received", listen)
    last = [item for item in session.chat_ctx.items if item.type == "message" and item.role == "assistant"][-1]
    session.send_event({"type": "conversation.item.retrieve", "item_id": last.id})
    item = await retrieved
    session.off("openai_server_event_received", listen)
    return item["id"], "".join(part.get("transcript", "") for part in item["content"])


async def main() -> None:
    parser = argparse.ArgumentParser(description="Speak from a LiveKit agent session.")
    parser.add_argument("text")
    parser.add_argument("-o", "--output", default="speech.wav")
    parser.add_argument("--voice", default="ada")
    parser.add_argument("--stop-after", type=float, metavar="SECONDS")
    options = parser.parse_args()

    model = realtime(voice=options.voice)
    # it would rather pause than stop; this speaker cannot pause
    session = AgentSession(llm=model, turn_handling={"interruption": {"resume_false_interruption": False}})
    session.output.audio = speaker = Speaker()
    agent = Agent(instructions="Audio is recorded from a quiet room.")
    await session.start(agent)
    await say(session, options.text, options.stop_after)
    _, words = await kept(agent)
    print(words)
    await session.aclose()
    await model.aclose()
    with wave.open(options.output, "wb") as file:
        file.setparams((1, 2, 24000, 0, "NONE", ""))
        file.writeframes(speaker.pcm)


if __name__ == "__main__":
    asyncio.run(main())

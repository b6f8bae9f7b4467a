"""A Pipecat pipeline whose OpenAIRealtimeLLMService speaks through voiced, and is interrupted in mid-sentence.

    python pipecat_realtime.py "The train leaves at nine." -o train.wav
    python pipecat_realtime.py "The train leaves at nine." -o train.wav --stop-after 0.6

Only `base_url` differs from the hosted API. VOICE_SERVER and VOICE_KEY name another server than this machine's.
"""

import argparse
import asyncio
import os
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    Frame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.realtime.events import (
    AudioConfiguration,
    AudioInput,
    AudioOutput,
    ConversationItem,
    SessionProperties,
)
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.workers.runner import WorkerRunner

URL = os.environ.get("VOICE_SERVER", "http://127.0.0.1:8080")
KEY = os.environ.get("VOICE_KEY", "none")


class Ear(FrameProcessor):
    """Where a transport would play: keeps what it hears of a response, and may tire of it."""

    def __init__(self, stop_after: float | None = None) -> None:
        super().__init__()
        self.pcm = b""
        self.text = ""
        self.done = asyncio.Event()
        self.tire_after(stop_after)

    def tire_after(self, seconds: float | None) -> None:
        """Interrupt so many seconds after the next speech begins."""
        self._stop_after = seconds

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame):
            if self._stop_after is not None:
                self.create_task(self._interrupt(self._stop_after))
                self._stop_after = None
            self.pcm += frame.audio
        elif isinstance(frame, TTSTextFrame):
            self.text += frame.text
        elif isinstance(frame, LLMFullResponseEndFrame) and self.pcm:
            self.done.set()
        await self.push_frame(frame, direction)

    async def _interrupt(self, after: float) -> None:
        await asyncio.sleep(after)
        await self.broadcast_interruption()


class Call:
    """A pipeline of one service and one ear; `items` are the ids of the conversation so far."""

    def __init__(self, llm: OpenAIRealtimeLLMService, ear: Ear) -> None:
        self.llm, self.ear = llm, ear
        self.items: list[str] = []
        self.errors: list[str] = []
        self.worker = PipelineWorker(Pipeline([llm, ear]))
        self.worker.add_event_handler("on_pipeline_error", self._on_error)
        llm.add_event_handler("on_conversation_item_created", self._on_item)

    async def _on_error(self, worker: PipelineWorker, frame: ErrorFrame) -> None:
        self.errors.append(frame.error)
        self.ear.done.set()

    async def _on_item(self, llm: OpenAIRealtimeLLMService, item_id: str, item: ConversationItem) -> None:
        self.items.append(item_id)

    async def say(self, text: str) -> None:
        """Until `text` is spoken or interrupted."""
        await self.worker.queue_frame(LLMContextFrame(LLMContext([{"role": "user", "content": text}])))
        await self.ear.done.wait()
        if self.errors:
            raise RuntimeError(self.errors[0])

    async def remembered(self) -> str:
        """The last item's words as the conversation holds them: after an interruption, those that were heard."""
        item = await self.llm.retrieve_conversation_item(self.items[-1])
        return "".join(part.transcript or "" for part in item.content)


def service(url: str = URL, key: str = KEY, voice: str = "ada") -> OpenAIRealtimeLLMService:
    """Pipecat's service, pointed at voiced. Turns are taken by the pipeline, not by the server."""
    return OpenAIRealtimeLLMService(
        api_key=key,
        base_url=f"{url.replace('http', 'ws')}/v1/realtime",
        settings=OpenAIRealtimeLLMService.Settings(
            model="voiced",
            session_properties=SessionProperties(
                audio=AudioConfiguration(input=AudioInput(turn_detection=False), output=AudioOutput(voice=voice))
            ),
        ),
    )


@asynccontextmanager
async def calling(llm: OpenAIRealtimeLLMService, stop_after: float | None = None) -> AsyncIterator[Call]:
    """A running pipeline; leaving ends it."""
    call = Call(llm, Ear(stop_after))
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(call.worker)
    running = asyncio.create_task(runner.run())
    try:
        yield call
    finally:
        await call.worker.queue_frame(EndFrame())
        await running


async def main() -> None:
    parser = argparse.ArgumentParser(description="Speak from a Pipecat pipeline.")
    parser.add_argument("text")
    parser.add_argument("-o", "--output", default="speech.wav")
    parser.add_argument("--voice", default="ada")
    parser.add_argument("--stop-after", type=float, metavar="SECONDS")
    options = parser.parse_args()

    async with calling(service(voice=options.voice), options.stop_after) as call:
        await call.say(options.text)
        print(await call.remembered())
    with wave.open(options.output, "wb") as file:
        file.setparams((1, 2, 24000, 0, "NONE", ""))
        file.writeframes(call.ear.pcm)


if __name__ == "__main__":
    asyncio.run(main())

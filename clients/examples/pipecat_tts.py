"""Pipecat's text-to-speech services, pointed at voiced: OpenAITTSService (HTTP) and CartesiaTTSService (WebSocket).

    python pipecat_tts.py "The train leaves at nine." -o train.wav --service openai
    python pipecat_tts.py "The train leaves at nine." -o train.wav --service cartesia

Only `base_url` (`url`) differs from the hosted APIs. VOICE_SERVER and VOICE_KEY name another server than this
machine's. OpenAITTSService lets no voice names through but OpenAI's; voiced has aliases for them.
"""

import argparse
import asyncio
import os
import wave

from pipecat.frames.frames import (
    EndFrame,
    Frame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.cartesia.tts import CartesiaTTSService
from pipecat.services.openai.tts import OpenAITTSService
from pipecat.services.tts_service import TextAggregationMode, TTSService
from pipecat.workers.runner import WorkerRunner

URL = os.environ.get("VOICE_SERVER", "http://127.0.0.1:8080")
KEY = os.environ.get("VOICE_KEY", "none")


class Ear(FrameProcessor):
    """Where a transport would play: keeps speech and words, and may interrupt once it has heard enough."""

    def __init__(self, stop_after: float | None = None) -> None:
        super().__init__()
        self.pcm = b""
        self.words: list[str] = []
        self.done = asyncio.Event()
        self._stop_after = stop_after

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame):
            self.pcm += frame.audio
            if self._stop_after is not None and len(self.pcm) >= self._stop_after * 48000:
                self._stop_after = None
                self.create_task(self._interrupt())
        elif isinstance(frame, TTSTextFrame):
            self.words.append(frame.text)
        elif isinstance(frame, TTSStoppedFrame):
            self.done.set()
        await self.push_frame(frame, direction)

    async def _interrupt(self) -> None:
        await self.broadcast_interruption()
        self.done.set()


def openai(url: str = URL, key: str = KEY, voice: str = "alloy") -> OpenAITTSService:
    """Each sentence is one request."""
    return OpenAITTSService(api_key=key, base_url=f"{url}/v1", settings=OpenAITTSService.Settings(voice=voice))


def cartesia(url: str = URL, key: str = KEY, voice: str = "ada") -> CartesiaTTSService:
    """Words go out as they come, and come back with the time they are said at."""
    return CartesiaTTSService(
        api_key=key,
        url=f"{url.replace('http', 'ws')}/tts/websocket",
        settings=CartesiaTTSService.Settings(voice=voice),
        text_aggregation_mode=TextAggregationMode.TOKEN,
    )


async def say(service: TTSService, text: str, stop_after: float | None = None) -> tuple[Ear, list[str]]:
    """Have `text` spoken, given word by word as a language model would; what was heard, and errors."""
    ear, errors = Ear(stop_after), []
    worker = PipelineWorker(Pipeline([service, ear]), params=PipelineParams(audio_out_sample_rate=24000))

    @worker.event_handler("on_pipeline_error")
    async def on_pipeline_error(worker: PipelineWorker, frame: Frame) -> None:
        errors.append(str(frame))
        ear.done.set()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    words = [LLMTextFrame(word + " ") for word in text.split()]
    await worker.queue_frames([LLMFullResponseStartFrame(), *words, LLMFullResponseEndFrame()])
    await ear.done.wait()
    await worker.queue_frame(EndFrame())
    await running
    return ear, errors


async def main() -> None:
    parser = argparse.ArgumentParser(description="Speak with Pipecat's text-to-speech services.")
    parser.add_argument("text")
    parser.add_argument("-o", "--output", default="speech.wav")
    parser.add_argument("--service", choices=["openai", "cartesia"], default="cartesia")
    options = parser.parse_args()

    ear, errors = await say(openai() if options.service == "openai" else cartesia(), options.text)
    print(*(errors or ear.words))
    with wave.open(options.output, "wb") as file:
        file.setparams((1, 2, 24000, 0, "NONE", ""))
        file.writeframes(ear.pcm)


if __name__ == "__main__":
    asyncio.run(main())

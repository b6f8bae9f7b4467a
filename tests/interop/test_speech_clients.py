"""Scope: unmodified text-to-speech clients against the server: HTTP, server-sent events, Cartesia's socket."""

import io
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.interop.engine_tap import Reference
from tests.interop.suite import FIRST, LAST, LONG, Run, Suite

pytestmark = pytest.mark.asyncio(loop_scope="session")

Heard = dict[str, object]


def assert_exact(heard: Heard, made: Reference) -> None:
    """Sample for sample what the engine made of the whole text."""
    assert made.complete
    assert heard["samples"] == made.samples
    assert heard["sha256"] == made.digest(made.samples)


def level(samples: np.ndarray) -> float:
    """RMS in dB of full scale."""
    return float(20 * np.log10(np.sqrt(np.mean(np.square(samples.astype(np.float64)))) / 32768))


def assert_the_same_speech(decoded: np.ndarray, made: Reference, padding_s: float) -> None:
    """As long (but for what a codec pads) and as loud as what the engine made."""
    assert 0 <= len(decoded) - made.samples <= padding_s * 24000
    assert abs(level(decoded) - level(np.frombuffer(made.pcm, "<i2"))) < 0.5


async def test_openai_python_hears_raw_pcm_while_it_is_made_and_whole(resting: Suite) -> None:
    run = await resting.driver("openai_speech_formats.py")
    assert_exact(run.facts["raw"], run.made(FIRST, 0))
    assert run.facts["raw"]["chunks"] > 1
    assert_exact(run.facts["whole"], run.made(FIRST, 1))


async def test_openai_python_gets_a_wav_file_whose_samples_are_what_was_made(resting: Suite) -> None:
    run = await resting.driver("openai_speech_formats.py")
    assert_exact(run.facts["wav"], run.made(FIRST, 2))
    with soundfile.SoundFile(io.BytesIO(bytes.fromhex(run.facts["wav"]["header"]))) as header:
        assert (header.samplerate, header.channels, header.subtype) == (24000, 1, "PCM_16")


async def test_openai_python_gets_an_mp3_that_decodes_to_the_same_speech(resting: Suite) -> None:
    run = await resting.driver("openai_speech_formats.py")
    decoded, rate = soundfile.read(Path(resting.folder, "speech.mp3"), dtype="int16")
    assert rate == 24000
    assert_the_same_speech(decoded, run.made(FIRST, 3), padding_s=0.1)


async def test_openai_python_reads_the_speech_as_server_sent_events(resting: Suite) -> None:
    run = await resting.driver("openai_speech_formats.py")
    sse = run.facts["sse"]
    assert_exact(sse, run.made(FIRST, 4))
    *deltas, last = sse["kinds"]
    assert set(deltas) == {"speech.audio.delta"} and len(deltas) > 1
    assert last == "speech.audio.done"
    usage = sse["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > usage["output_tokens"] > 0


async def test_pipecats_openai_service_hears_the_whole_text(resting: Suite) -> None:
    run = await resting.driver("pipecat_tts_services.py")
    assert_exact(run.facts["openai"], run.made(FIRST))
    assert run.facts["errors"] == []


async def test_pipecats_cartesia_service_hears_the_whole_text_and_every_word(resting: Suite) -> None:
    run = await resting.driver("pipecat_tts_services.py")
    assert_exact(run.facts["cartesia"], run.made(LAST))
    assert " ".join(run.facts["cartesia"]["words"]).split() == LAST.split()


async def test_a_context_that_pipecat_cancels_stops_at_the_engine(resting: Suite) -> None:
    run = await resting.driver("pipecat_tts_services.py")
    assert_cut(run)
    (cancel,) = [event for event in run.recorder.client_events("/tts/websocket") if event.get("cancel")]
    answers = run.recorder.server_events("/tts/websocket")
    told = [event for event in answers if event["context_id"] == cancel["context_id"]]
    assert {event["type"] for event in told} <= {"chunk", "timestamps"}


async def test_livekits_openai_plugin_hears_the_whole_text(resting: Suite) -> None:
    run = await resting.driver("livekit_tts_plugins.py")
    assert_exact(run.facts["openai"], run.made(FIRST, 0))
    assert 0 <= run.facts["mp3"]["samples"] - run.made(FIRST, 1).samples <= 0.1 * 24000


async def test_livekits_cartesia_plugin_hears_the_whole_text_and_when_each_word_is_said(resting: Suite) -> None:
    run = await resting.driver("livekit_tts_plugins.py")
    cartesia = run.facts["cartesia"]
    assert_exact(cartesia, run.made(LAST))
    assert "".join(word for word, _, _ in cartesia["timed"]).split() == LAST.split()
    assert all(0 <= start < end <= cartesia["samples"] / 24000 for _, start, end in cartesia["timed"])
    assert all(before[2] <= after[1] for before, after in pairwise(cartesia["timed"]))


async def test_a_stream_that_livekit_leaves_early_stops_at_the_engine(resting: Suite) -> None:
    assert_cut(await resting.driver("livekit_tts_plugins.py"))


def assert_cut(run: Run) -> None:
    cut, made = run.facts["cut"], run.made(LONG)
    assert not made.complete
    assert 0 < cut["samples"] <= made.samples
    assert cut["sha256"] == made.digest(cut["samples"])

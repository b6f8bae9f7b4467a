"""Scope: openai-python has a person's recording transcribed, by Whisper tiny.en from its package."""

import pytest

from tests.interop.suite import Suite
from tests.recognition.recordings import AUSTEN, plain

pytestmark = pytest.mark.asyncio(loop_scope="session")

SAID = AUSTEN["0920"]


async def test_openai_python_reads_a_recording_in_every_format(resting: Suite) -> None:
    facts = (await resting.driver("openai_transcriptions.py")).facts
    assert plain(facts["text"]) == SAID
    assert facts["seconds"] == 7
    assert (facts["language"], facts["duration"]) == ("english", pytest.approx(6.05))
    assert plain(" ".join(word for word, _, _ in facts["words"])) == SAID
    times = [time for _, start, end in facts["words"] for time in (start, end)]
    assert times == sorted(times) and 5.0 < times[-1] <= facts["duration"]
    assert plain(" ".join(text for text, _, _ in facts["segments"])) == SAID
    assert plain(facts["plain"]) == plain(facts["english"]) == SAID
    assert facts["srt"].startswith("1\n00:00:00,000 --> 00:00:0")
    assert facts["vtt"].startswith("WEBVTT\n\n00:00:00.000 --> 00:00:0")


async def test_openai_python_reads_the_text_as_events_and_a_refusal_as_its_own_error(resting: Suite) -> None:
    facts = (await resting.driver("openai_transcriptions.py")).facts
    *deltas, done = facts["events"]
    assert {event["type"] for event in deltas} == {"transcript.text.delta"}
    assert (done["type"], plain(done["text"])) == ("transcript.text.done", SAID)
    assert facts["refused"] == {"status": 400, "code": "invalid_value", "param": "file"}

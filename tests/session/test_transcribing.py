"""Scope: the words of what the user says: when they are looked for, what the client is told, when it is answered."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.client_events import InputAudioAppend, InputAudioCommit, ItemDelete, ResponseCreate
from protocol.objects import AudioInput, InputAudio, SessionAudio, Transcription
from protocol.server_events import (
    InputTranscriptionCompleted,
    InputTranscriptionDelta,
    InputTranscriptionFailed,
    ItemDone,
    ResponseCreated,
    ServerEvent,
)
from realtime.session.messages import DropTranscription, NotTranscribed, Transcribe, Transcribed
from tests.session.harness import RATE, kind_of
from tests.session.test_turns_of_a_session import Ear, W

PATIENCE = 10  # windows of silence that end a turn here
EARLY = 5  # windows of silence: 160 ms
TOLD = "conversation.item.input_audio_transcription"
DELTA, COMPLETED, FAILED = f"{TOLD}.delta", f"{TOLD}.completed", f"{TOLD}.failed"


class Listened(Ear):
    """An ear with a recogniser behind it that answers when told to."""

    def __init__(self, *, asks: bool = True, **runtime: Any) -> None:
        super().__init__(silence_duration_ms=PATIENCE * 32, runtime={"recogniser": "whisper tiny.en", **runtime})
        if asks:
            self.talk.update(audio=SessionAudio(input=AudioInput(transcription=Transcription(language="en"))))

    @property
    def jobs(self) -> list[Transcribe]:
        """What was asked for, oldest first."""
        return [effect for effect in self.talk.effects if isinstance(effect, Transcribe)]

    @property
    def dropped(self) -> list[str]:
        return [effect.job_id for effect in self.talk.effects if isinstance(effect, DropTranscription)]

    def says(self, text: str, job: Transcribe | None = None) -> list[ServerEvent]:
        """The recogniser answers the job (the last one); returns the events that follow."""
        job = job or self.jobs[-1]
        self.talk.tell(Transcribed(job.job_id, text, len(job.pcm) / 2 / RATE))
        return self.talk.deliver()

    def fails(self, code: Any = "nothing_heard") -> list[ServerEvent]:
        self.talk.tell(NotTranscribed(self.jobs[-1].job_id, code, "Why."))
        return self.talk.deliver()


def _kinds(events: list[ServerEvent]) -> list[str]:
    return [kind_of(event) for event in events]


# --- one turn ---


def test_the_words_are_looked_for_when_silence_begins_and_told_when_the_turn_is_over() -> None:
    ear = Listened()
    ear.hear("####" + "." * (EARLY - 1))
    assert ear.jobs == []
    ear.hear(".")
    (early,) = ear.jobs
    assert (early.kind, early.language, early.pcm) == ("early", "en", ear.audio(0, (4 + EARLY) * W))
    assert ear.says("Good morning.") == [], "the turn may go on"
    events = ear.hear("." * (PATIENCE - EARLY))
    assert events[-2:] == [DELTA, COMPLETED]
    assert len(ear.jobs) == 1, "asked once"
    (completed,) = ear.talk.got(InputTranscriptionCompleted)
    assert (completed.transcript, completed.usage.seconds) == ("Good morning.", round((4 + EARLY) * W / RATE, 3))
    assert completed.item_id == ear.talk.got(ItemDone)[-1].item.id
    assert [event.delta for event in ear.talk.got(InputTranscriptionDelta)] == ["Good morning."]


def test_words_that_come_after_the_end_of_the_turn_are_told_then() -> None:
    ear = Listened()
    assert COMPLETED not in ear.hear("####" + "." * PATIENCE)
    assert _kinds(ear.says("Good morning.")) == [DELTA, COMPLETED]


def test_when_speech_goes_on_the_early_words_are_dropped_and_all_of_it_is_recognised() -> None:
    ear = Listened()
    ear.hear("####" + "." * EARLY + "###")
    (early,) = ear.jobs
    assert ear.dropped == [early.job_id]
    assert ear.says("Good") == [], "nobody waits for this any more"
    ear.hear("." * PATIENCE)
    assert [job.kind for job in ear.jobs] == ["early", "early"]
    assert ear.jobs[-1].pcm[: 2 * (4 + EARLY) * W] == early.pcm
    assert _kinds(ear.says("Good morning.")) == [DELTA, COMPLETED]


def test_early_words_that_were_there_already_are_forgotten_when_speech_goes_on() -> None:
    ear = Listened()
    ear.hear("####" + "." * EARLY)
    ear.says("Good")
    ear.hear("###" + "." * PATIENCE)
    ear.says("Good morning.")
    (completed,) = ear.talk.got(InputTranscriptionCompleted)
    assert completed.transcript == "Good morning."


def test_an_item_whose_words_are_known_shows_them() -> None:
    ear = Listened()
    ear.hear("####" + "." * PATIENCE)
    item_id = ear.talk.got(ItemDone)[-1].item.id
    ear.says("Good morning.")
    ear.recorded(item_id)
    (part,) = ear.talk.events[-1].item.content  # type: ignore[attr-defined]
    assert isinstance(part, InputAudio)
    assert part.transcript == "Good morning."


@pytest.mark.parametrize("code", ["nothing_heard", "recogniser_unavailable"])
def test_what_has_no_words_fails_with_a_sentence_and_nothing_answers_it(code: str) -> None:
    ear = Listened(answers_turns=True, needs_transcripts=True)
    ear.hear("####" + "." * PATIENCE)
    assert _kinds(ear.fails(code)) == [FAILED]
    (failed,) = ear.talk.got(InputTranscriptionFailed)
    assert (failed.error.code, failed.error.message) == (code, "Why.")
    assert not ear.talk.got(ResponseCreated)


def test_without_a_recogniser_a_client_that_wants_words_is_told_so_at_each_turn() -> None:
    ear = Listened(recogniser="")
    assert ear.hear("####" + "." * PATIENCE)[-1] == FAILED
    assert "--recogniser" in ear.talk.got(InputTranscriptionFailed)[0].error.message
    assert ear.jobs == []


def test_a_client_that_wants_no_words_is_told_none() -> None:
    ear = Listened(asks=False)
    ear.hear("####" + "." * PATIENCE)
    assert ear.jobs == []


def test_what_a_client_commits_by_itself_is_recognised_whole() -> None:
    ear = Listened()
    ear.turn_detection(None)
    ear.talk.tell(InputAudioAppend(audio=ear.audio(0, RATE)))
    ear.talk.tell(InputAudioCommit())
    (job,) = ear.jobs
    assert (job.kind, job.pcm) == ("final", ear.audio(0, RATE))
    ear.talk.deliver()
    assert _kinds(ear.says("Good morning.")) == [DELTA, COMPLETED]


def test_a_turn_that_is_cleared_and_an_item_that_is_deleted_are_asked_for_no_more() -> None:
    ear = Listened()
    ear.hear("####" + "." * EARLY)
    ear.turn_detection(None)
    ear.talk.tell(InputAudioAppend(audio=b"\0\0"))
    assert ear.dropped == [ear.jobs[0].job_id]
    ear = Listened()
    ear.hear("####" + "." * PATIENCE)
    ear.talk.tell(ItemDelete(item_id=ear.talk.got(ItemDone)[-1].item.id))
    assert ear.dropped == [ear.jobs[0].job_id]
    ear.talk.deliver()
    assert ear.says("Good morning.") == []


# --- answers ---


def test_a_brain_that_reads_is_asked_when_the_words_are_known() -> None:
    ear = Listened(asks=False, answers_turns=True, needs_transcripts=True)
    assert "response.created" not in ear.hear("####" + "." * PATIENCE)
    assert _kinds(ear.says("What time is it?"))[0] == "response.created"
    assert ear.talk.said == [("user", "What time is it?")]


def test_a_brain_that_listens_itself_does_not_wait_for_words() -> None:
    ear = Listened(answers_turns=True)
    assert "response.created" in ear.hear("####" + "." * PATIENCE)
    assert len(ear.talk.asked) == 1


def test_who_speaks_again_before_the_words_are_known_is_answered_once() -> None:
    ear = Listened(answers_turns=True, needs_transcripts=True)
    ear.hear("####" + "." * PATIENCE)
    ear.hear("##")
    assert "response.created" not in _kinds(ear.says("One.", ear.jobs[0]))
    ear.hear("##" + "." * PATIENCE)
    ear.says("Two.")
    assert len(ear.talk.got(ResponseCreated)) == 1
    assert ear.talk.said == [("user", "One."), ("user", "Two.")]


@pytest.mark.parametrize("heard", [True, False])
def test_a_response_that_a_client_asks_for_waits_for_the_words_or_for_there_being_none(heard: bool) -> None:
    ear = Listened(answers_turns=True, needs_transcripts=True)
    ear.turn_detection(None)
    ear.talk.tell(InputAudioAppend(audio=ear.audio(0, RATE)))
    ear.talk.tell(InputAudioCommit())
    ear.talk.tell(ResponseCreate())
    assert (len(ear.talk.got(ResponseCreated)), ear.talk.asked) == (0, [])
    ear.talk.deliver()
    assert (len(ear.talk.got(ResponseCreated)), ear.talk.asked) == (1, [])
    if heard:
        ear.says("Good morning.")
        assert ear.talk.said == [("user", "Good morning.")]
    else:
        ear.fails()
        assert ear.talk.said == [("user", "")]


# --- sessions that only transcribe ---


def _transcribing() -> Listened:
    ear = Listened(answers_turns=True)
    ear.talk.update(type="transcription")
    return ear


def test_a_session_that_only_transcribes_tells_the_sure_words_while_somebody_speaks() -> None:
    ear = _transcribing()
    ear.hear("#" * 20)
    assert [job.kind for job in ear.jobs] == ["partial"]
    assert ear.says("The harbor is") == [], "one pass is not sure"
    ear.hear("#" * 16)
    (delta,) = ear.says("The harbour is quiet")
    assert isinstance(delta, InputTranscriptionDelta)
    assert delta.delta == "The"
    ear.hear("." * PATIENCE)
    events = ear.says("The harbour is quiet today.")
    assert [event.delta for event in events if isinstance(event, InputTranscriptionDelta)] == [
        " harbour is quiet today."
    ]
    assert kind_of(events[-1]) == COMPLETED


def test_words_that_were_told_and_turn_out_otherwise_are_put_right_by_the_transcript() -> None:
    ear = _transcribing()
    ear.hear("#" * 20)
    ear.says("Good mourning")
    ear.hear("#" * 16)
    ear.says("Good mourning all")
    ear.hear("." * PATIENCE)
    (completed,) = ear.says("Good morning, all.")
    assert isinstance(completed, InputTranscriptionCompleted)
    assert completed.transcript == "Good morning, all."


def test_one_partial_job_is_under_way_at_a_time_and_none_when_the_turn_is_over() -> None:
    ear = _transcribing()
    ear.hear("#" * 60)
    assert [job.kind for job in ear.jobs] == ["partial"]
    ear.hear("." * PATIENCE)
    assert ear.dropped == [ear.jobs[0].job_id]
    assert [job.kind for job in ear.jobs] == ["partial", "early"]


def test_a_session_that_only_transcribes_answers_nothing() -> None:
    ear = _transcribing()
    shown = ear.talk.events[-1].session  # type: ignore[attr-defined]
    assert (shown.type, shown.audio.input.turn_detection.create_response) == ("transcription", False)
    ear.hear("####" + "." * PATIENCE)
    ear.says("Good morning.")
    ear.talk.tell(ResponseCreate())
    ear.talk.deliver()
    assert ear.talk.error().code == "unsupported_event"
    assert not ear.talk.got(ResponseCreated)

"""Scope: turns in what a session hears, with scores by script: what the client is told, which audio becomes an item,
whom it interrupts, and what commit, clear and changes of settings do in the middle of one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.client_events import (
    InputAudioAppend,
    InputAudioClear,
    InputAudioCommit,
    ItemDelete,
    ItemRetrieve,
    ItemTruncate,
    ResponseCancel,
)
from protocol.objects import AudioInput, InputAudio, SemanticVad, ServerVad, SessionAudio, ShownListening
from protocol.server_events import (
    InputCommitted,
    InputTimeout,
    ItemDone,
    ItemRetrieved,
    ResponseDone,
    SpeechStarted,
    SpeechStopped,
)
from realtime.agent.brain import Said
from realtime.session.messages import SCORE_SAMPLES, ListeningChanged, Tick, UserAudio
from realtime.session.shared import Limits
from tests.session.harness import RATE, Talk, kind_of

W = SCORE_SAMPLES
PATIENCE = 4  # windows of silence that end a turn here
TURN = ["input_audio_buffer.speech_started"]
END = [
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
]


class Ear:
    """A session that is listened for by script: `#` is a window of speech, `.` one of silence. Every sample of the
    input has a value of its own, so that audio tells where it comes from."""

    def __init__(
        self, limits: Limits | None = None, *, runtime: dict[str, Any] | None = None, **detection: Any
    ) -> None:
        self.talk = Talk(limits, hears="script", **(runtime or {}))
        self.heard = 0
        self._asked = {"prefix_padding_ms": 0, "silence_duration_ms": PATIENCE * 32, **detection}
        self.turn_detection(ServerVad(**self._asked))

    def turn_detection(self, wanted: Any) -> None:
        self.talk.update(audio=SessionAudio(input=AudioInput(turn_detection=wanted)))

    def hear(self, script: str, piece: int = W) -> list[str]:
        """The kinds of events that follow."""
        audio, scores = self.audio(self.heard, self.heard + W * len(script)), [0.9 if m == "#" else 0.0 for m in script]
        scored, start = 0, self.heard % W
        for at in range(0, W * len(script), piece):
            pcm = audio[2 * at : 2 * (at + piece)]
            whole = (start + at + len(pcm) // 2) // W
            self.talk.tell(UserAudio(pcm, tuple(scores[scored:whole])))
            scored = whole
        self.heard += W * len(script)
        return [kind_of(event) for event in self.talk.deliver()]

    @staticmethod
    def audio(start: int, end: int) -> bytes:
        return b"".join((at % 65536).to_bytes(2, "little") for at in range(start, end))

    def recorded(self, item_id: str) -> bytes:
        self.talk.tell(ItemRetrieve(item_id=item_id))
        self.talk.deliver()
        part = self.talk.got(ItemRetrieved)[-1].item.content[0]
        assert isinstance(part, InputAudio)
        return part.audio if isinstance(part.audio, bytes) else b""

    def wait(self, seconds: float) -> list[str]:
        """Time passes, a tick each quarter of a second."""
        for _ in range(round(seconds * 4)):
            self.talk.now += 0.25
            self.talk.tell(Tick())
        return [kind_of(event) for event in self.talk.deliver()]


def _ms(samples: int) -> int:
    return samples * 1000 // RATE


# --- a turn ---


def test_a_turn_is_announced_ended_and_committed_in_the_order_clients_wait_for() -> None:
    ear = Ear()
    ear.talk.item("user", "Before.", item_id="before")
    assert ear.hear("..##") == TURN
    assert ear.hear("###" + "." * PATIENCE) == END
    started, stopped = ear.talk.got(SpeechStarted)[0], ear.talk.got(SpeechStopped)[0]
    committed = ear.talk.got(InputCommitted)[0]
    assert started.item_id == stopped.item_id == committed.item_id
    assert committed.previous_item_id == "before"
    assert (started.audio_start_ms, stopped.audio_end_ms) == (_ms(2 * W), _ms(11 * W))
    item = ear.talk.got(ItemDone)[-1].item
    assert (item.id, item.role, item.content) == (started.item_id, "user", [InputAudio(transcript=None)])
    assert ear.recorded(item.id) == ear.audio(2 * W, 11 * W)


def test_a_turn_begins_with_its_padding_but_not_before_the_first_sample() -> None:
    ear = Ear(prefix_padding_ms=100)
    ear.hear("......##" + "." * PATIENCE)
    started = ear.talk.got(SpeechStarted)[0]
    assert started.audio_start_ms == _ms(6 * W - 2400)
    assert ear.recorded(started.item_id) == ear.audio(6 * W - 2400, 12 * W)
    early = Ear(prefix_padding_ms=100)
    early.hear(".##" + "." * PATIENCE)
    assert early.talk.got(SpeechStarted)[0].audio_start_ms == 0
    assert early.recorded(early.talk.got(SpeechStarted)[0].item_id) == early.audio(0, 7 * W)


def test_the_padding_of_a_turn_does_not_reach_into_the_turn_before() -> None:
    ear = Ear(prefix_padding_ms=1000)
    ear.hear("##" + "." * PATIENCE + ".##" + "." * PATIENCE)
    first, second = ear.talk.got(SpeechStarted)
    assert ear.recorded(first.item_id) == ear.audio(0, 6 * W)
    assert ear.recorded(second.item_id) == ear.audio(6 * W, 13 * W)
    assert second.audio_start_ms == ear.talk.got(SpeechStopped)[0].audio_end_ms


def test_what_is_heard_without_speech_is_told_to_nobody() -> None:
    ear = Ear()
    assert ear.hear("." * 100 + "#" + "." * 100) == []


def test_several_turns_in_one_message_are_all_found() -> None:
    ear = Ear()
    assert ear.hear(("##" + "." * PATIENCE) * 3, piece=18 * W) == (TURN + END) * 3
    items = [event.item_id for event in ear.talk.got(InputCommitted)]
    assert [ear.recorded(item) for item in items] == [ear.audio(6 * W * n, 6 * W * (n + 1)) for n in range(3)]


@given(
    script=st.text("#.", max_size=60),
    piece=st.sampled_from([160, 480, W, 1000, 4800]),
    padding_ms=st.sampled_from([0, 50, 300]),
)
def test_each_item_holds_what_was_said_from_its_start_to_its_end_and_nothing_twice(
    script: str, piece: int, padding_ms: int
) -> None:
    ear = Ear(prefix_padding_ms=padding_ms)
    ear.hear(script + "." * PATIENCE, piece)
    starts, stops = ear.talk.got(SpeechStarted), ear.talk.got(SpeechStopped)
    assert [event.item_id for event in starts] == [event.item_id for event in stops]
    held = 0
    for started, stopped in zip(starts, stops, strict=True):
        pcm = ear.recorded(started.item_id)
        first = int.from_bytes(pcm[:2], "little")
        assert (_ms(first), _ms(first + len(pcm) // 2)) == (started.audio_start_ms, stopped.audio_end_ms)
        assert pcm == ear.audio(first, first + len(pcm) // 2)
        assert first >= held, "audio in two items"
        held = first + len(pcm) // 2
    said = max(0, script.count("#") - sum(len(run) == 1 for run in script.split(".")))
    assert sum(len(ear.recorded(event.item_id)) for event in starts) // 2 >= said * W


# --- interruption ---


def _speaking(ear: Ear) -> str:
    response = ear.talk.respond("A sentence of several words here. " * 6)
    ear.talk.audio(1.0)
    ear.talk.deliver()
    return response


def test_speech_interrupts_the_response_and_is_told_before_it_ends() -> None:
    ear = Ear()
    response = _speaking(ear)
    ear.talk.now += 0.4
    events = ear.hear("##")
    assert events[0] == "input_audio_buffer.speech_started"
    assert events[-1] == "response.done"
    done = ear.talk.done(response)
    assert done.status == "cancelled"
    assert done.status_details is not None
    assert done.status_details.reason == "turn_detected"
    assert not ear.talk.at_engine
    assert ear.hear("." * PATIENCE) == END
    assert ear.talk.got(InputCommitted)[0].previous_item_id == ear.talk.message_of(response)


def test_speech_does_not_interrupt_when_the_client_does_not_want_it() -> None:
    ear = Ear(interrupt_response=False)
    _speaking(ear)
    assert ear.hear("##" + "." * PATIENCE) == TURN + END
    assert len(ear.talk.at_engine) == 1
    assert not ear.talk.got(ResponseDone)


def test_speech_does_not_interrupt_a_response_out_of_band() -> None:
    ear = Ear()
    ear.talk.respond("Aside.", conversation="none")
    ear.talk.deliver()
    assert ear.hear("##") == TURN
    assert not ear.talk.got(ResponseDone)


def test_the_end_of_a_turn_asks_for_no_response_until_somebody_understands_it() -> None:
    ear = Ear(create_response=True)
    ear.hear("##" + "." * PATIENCE)
    assert not ear.talk.asked


# --- the client's own moves in a turn ---


def test_a_commit_in_the_middle_ends_the_turn_and_what_follows_is_the_next() -> None:
    ear = Ear()
    ear.hear("..####")
    ear.talk.tell(InputAudioCommit())
    assert [kind_of(event) for event in ear.talk.deliver()] == END
    first = ear.talk.got(SpeechStarted)[0].item_id
    assert ear.talk.got(SpeechStopped)[0].audio_end_ms == _ms(6 * W)
    assert ear.recorded(first) == ear.audio(2 * W, 6 * W)
    assert ear.hear("##" + "." * PATIENCE) == TURN + END
    assert ear.recorded(ear.talk.got(SpeechStarted)[1].item_id) == ear.audio(6 * W, 12 * W)


def test_a_commit_of_next_to_nothing_is_refused_and_the_turn_goes_on() -> None:
    ear = Ear()
    ear.hear("##")
    ear.talk.tell(InputAudioCommit(event_id="early"))
    ear.talk.deliver()
    assert (ear.talk.error().code, ear.talk.error().event_id) == ("input_audio_buffer_commit_empty", "early")
    assert ear.hear("." * PATIENCE) == END


def test_a_commit_between_turns_makes_an_item_of_what_was_not_taken_for_speech() -> None:
    ear = Ear()
    ear.hear("##" + "." * PATIENCE + "." * 10)
    ear.talk.tell(InputAudioCommit())
    assert [kind_of(event) for event in ear.talk.deliver()] == END[1:]
    assert ear.recorded(ear.talk.got(InputCommitted)[1].item_id) == ear.audio(6 * W, 16 * W)


def test_a_clear_in_the_middle_forgets_the_turn() -> None:
    ear = Ear()
    ear.hear("..####")
    ear.talk.tell(InputAudioClear())
    assert [kind_of(event) for event in ear.talk.deliver()] == ["input_audio_buffer.cleared"]
    assert ear.hear("." * 2 * PATIENCE) == []
    assert ear.hear("##" + "." * PATIENCE) == TURN + END
    assert ear.recorded(ear.talk.got(InputCommitted)[0].item_id) == ear.audio(14 * W, 20 * W)


def test_turn_detection_switched_off_leaves_the_buffer_to_the_client() -> None:
    ear = Ear()
    ear.hear("..###")
    ear.turn_detection(None)
    assert ear.hear("###" + "." * 2 * PATIENCE) == []
    ear.talk.tell(InputAudioCommit())
    assert [kind_of(event) for event in ear.talk.deliver()] == END[1:]
    assert ear.recorded(ear.talk.got(InputCommitted)[0].item_id) == ear.audio(2 * W, 16 * W)


def test_turn_detection_switched_on_again_counts_windows_anew() -> None:
    ear = Ear()
    ear.turn_detection(None)
    ear.talk.tell(UserAudio(ear.audio(0, 100)))
    ear.turn_detection(ServerVad(prefix_padding_ms=0, silence_duration_ms=PATIENCE * 32))
    ear.hear(".##" + "." * PATIENCE)
    assert ear.talk.got(SpeechStarted)[0].audio_start_ms == _ms(100 + W)


def test_a_shorter_silence_counts_in_the_turn_that_is_under_way() -> None:
    ear = Ear(silence_duration_ms=5000)
    assert ear.hear("##" + "." * 20) == TURN
    ear.turn_detection(ServerVad(silence_duration_ms=200))
    assert ear.hear(".") == END
    assert ear.talk.got(SpeechStopped)[0].audio_end_ms == _ms(2 * W) + 200


@pytest.mark.parametrize(("eagerness", "windows"), [("low", 32), ("auto", 19), ("medium", 19), ("high", 10)])
def test_semantic_turns_end_after_a_silence_by_eagerness(eagerness: Any, windows: int) -> None:
    ear = Ear()
    ear.turn_detection(SemanticVad(eagerness=eagerness))
    assert ear.hear("##" + "." * (windows - 1)) == TURN
    assert ear.hear(".") == END


# --- bounds ---


def test_a_turn_as_long_as_the_buffer_is_cut_into_turns_that_follow_each_other() -> None:
    ear = Ear(Limits(max_input_s=0.5))  # 15 whole windows
    assert ear.hear("#" * 32) == TURN + END + TURN + END + TURN
    ear.hear("." * PATIENCE)
    starts, stops = ear.talk.got(SpeechStarted), ear.talk.got(SpeechStopped)
    assert [event.audio_start_ms for event in starts[1:]] == [event.audio_end_ms for event in stops[:-1]]
    lengths = [len(ear.recorded(event.item_id)) // 2 for event in starts]
    assert lengths == [15 * W, 15 * W, 6 * W]


def test_no_turn_is_longer_than_the_recordings_that_are_kept() -> None:
    ear = Ear(Limits(max_clips_s=0.5))
    ear.hear("#" * 32 + "." * PATIENCE)
    pieces = [ear.recorded(event.item_id) for event in ear.talk.got(SpeechStarted)]
    assert pieces[:2] == [b"", b""]
    assert pieces[2] == ear.audio(30 * W, 36 * W)


def test_one_long_message_is_no_longer_than_the_buffer_at_any_time() -> None:
    ear = Ear(Limits(max_input_s=0.5, max_clips_s=60.0))
    ear.hear("." * 40 + "#" * 32 + "." * PATIENCE, piece=76 * W)
    items = [event.item_id for event in ear.talk.got(InputCommitted)]
    assert b"".join(map(ear.recorded, items)) == ear.audio(40 * W, 76 * W)


def test_silence_before_a_turn_is_kept_for_half_a_minute() -> None:
    ear = Ear()
    ear.hear("." * 1000, piece=100 * W)
    ear.talk.tell(InputAudioCommit())
    ear.talk.deliver()
    pcm = ear.recorded(ear.talk.got(InputCommitted)[0].item_id)
    assert pcm == ear.audio(1000 * W - 30 * RATE, 1000 * W)


def test_a_turn_in_a_full_conversation_is_lost_and_an_error_says_so() -> None:
    ear = Ear()
    for index in range(512):
        ear.talk.item("user", f"number {index}", item_id=f"n{index}")
    assert ear.hear(("##" + "." * PATIENCE) * 2) == [*TURN, END[0], "error"] * 2
    assert ear.talk.error().code == "too_many_items"
    ear.talk.tell(ItemDelete(item_id="n3"))
    ear.talk.deliver()
    assert ear.hear("##" + "." * PATIENCE) == TURN + END
    assert ear.recorded(ear.talk.got(InputCommitted)[0].item_id) == ear.audio(12 * W, 18 * W)


def test_without_scores_there_are_no_turns_and_the_client_commits() -> None:
    ear = Ear()
    ear.talk.tell(InputAudioAppend(audio=ear.audio(0, 100 * W)))
    ear.talk.tell(InputAudioCommit())
    assert [kind_of(event) for event in ear.talk.deliver()] == END[1:]
    assert ear.recorded(ear.talk.got(InputCommitted)[0].item_id) == ear.audio(0, 100 * W)


# --- nobody speaks ---


def _answered(**detection: Any) -> Ear:
    """A session that has spoken for a second, which goes out at once and takes its listener a second."""
    ear = Ear(idle_timeout_ms=5000, **detection)
    ear.hear("." * 10)
    ear.talk.speak("Hello there.", 1.0)
    return ear


def test_silence_after_a_response_is_told_once_and_becomes_an_item() -> None:
    ear = _answered()
    assert ear.wait(1.0) == []
    ear.hear("." * 20)
    assert ear.wait(4.75) == []
    assert ear.wait(0.5) == ["input_audio_buffer.timeout_triggered", *END[1:]]
    timeout, committed = ear.talk.got(InputTimeout)[0], ear.talk.got(InputCommitted)[0]
    assert timeout.item_id == committed.item_id
    assert (timeout.audio_start_ms, timeout.audio_end_ms) == (_ms(10 * W), _ms(30 * W))
    assert ear.recorded(committed.item_id) == ear.audio(10 * W, 30 * W)
    assert ear.wait(30.0) == []


def test_silence_counts_from_where_the_response_was_heard_to_its_end() -> None:
    ear = Ear(idle_timeout_ms=5000)
    ear.talk.speak("Hello there.", 20.0)
    assert ear.wait(24.75) == []
    assert ear.wait(0.5)[0] == "input_audio_buffer.timeout_triggered"
    assert ear.recorded(ear.talk.got(InputTimeout)[0].item_id) == b""


def test_whoever_has_spoken_is_not_waited_for() -> None:
    ear = _answered()
    ear.hear("##" + "." * PATIENCE)
    assert ear.wait(30.0) == []
    ear.talk.speak("Hello again.", 1.0)
    assert ear.wait(6.5)[0] == "input_audio_buffer.timeout_triggered"


def test_there_is_no_timeout_while_somebody_speaks() -> None:
    ear = _answered()
    ear.wait(4.0)
    ear.hear("##")
    assert ear.wait(30.0) == []
    ear.hear("." * PATIENCE)
    assert ear.wait(30.0) == []


def test_less_patience_in_the_middle_of_a_silence_ends_the_turn_now_and_not_before_it_began() -> None:
    ear = Ear(Limits(max_input_s=0.5), silence_duration_ms=500)
    ear.hear(".########" + "." * 7)  # the longest turn is over, and the next has begun in the silence
    ear.turn_detection(ServerVad(silence_duration_ms=100))
    ear.hear("..")
    started, stopped = ear.talk.got(SpeechStarted), ear.talk.got(SpeechStopped)
    assert [event.item_id for event in started] == [event.item_id for event in stopped]
    assert [event.audio_start_ms for event in started] == [_ms(W), _ms(16 * W)]
    assert [event.audio_end_ms for event in stopped] == [_ms(16 * W), _ms(16 * W)]


@pytest.mark.parametrize("cut", ["cancelled", "truncated"])
def test_a_response_that_was_cut_is_heard_out(cut: str) -> None:
    ear = Ear(idle_timeout_ms=5000)
    response = _speaking(ear)
    if cut == "truncated":
        ear.talk.tell(ItemTruncate(item_id=ear.talk.message_of(response), audio_end_ms=100))
    else:
        ear.talk.tell(ResponseCancel())
    ear.talk.deliver()
    assert ear.wait(5.0) == []
    assert ear.wait(0.5)[0] == "input_audio_buffer.timeout_triggered"


def test_the_session_shows_who_listens_now_and_waits_for_nobody_while_nothing_does() -> None:
    ear = Ear(idle_timeout_ms=5000)
    ear.talk.speak()
    ear.talk.tell(ListeningChanged(""))
    assert ear.talk.session.shown().voiced.listening is False
    assert ear.wait(30.0) == []
    ear.talk.tell(ListeningChanged("energy"))
    shown = ear.talk.session.shown().voiced.listening
    assert isinstance(shown, ShownListening)
    assert (shown.detector, shown.turns) == ("energy", "server_vad")
    assert ear.wait(6.0)[0] == "input_audio_buffer.timeout_triggered"


def test_nobody_waits_without_a_timeout_a_response_or_a_detector() -> None:
    never = Ear()
    never.talk.speak()
    assert never.wait(30.0) == []
    silent = Ear(idle_timeout_ms=5000)
    silent.hear("...")
    assert silent.wait(30.0) == []
    deaf = Talk()
    deaf.update(audio=SessionAudio(input=AudioInput(turn_detection=ServerVad(idle_timeout_ms=5000))))
    deaf.speak()
    deaf.now += 30.0
    deaf.tell(Tick())
    deaf.now += 30.0
    deaf.tell(Tick())
    assert deaf.deliver() == []


def test_where_the_brain_understands_a_turn_asks_for_its_response() -> None:
    ear = Ear(runtime={"answers_turns": True})
    assert ear.hear("..###" + "." * PATIENCE) == [*TURN, *END, "response.created", "rate_limits.updated"]
    asked = ear.talk.asked[-1].dialogue.entries
    assert isinstance(asked[-1], Said)
    assert (asked[-1].role, asked[-1].text, len(asked[-1].audio or b"")) == ("user", "", 2 * 7 * W)
    assert ear.talk.session.live is not None


def test_a_client_that_does_not_want_answers_by_itself_gets_none() -> None:
    ear = Ear(runtime={"answers_turns": True}, create_response=False)
    assert ear.hear("..###" + "." * PATIENCE) == [*TURN, *END]
    assert not ear.talk.asked

"""Scope: what a call's listener gets, under a fake clock: first audio, gaps and their causes, lead, ends."""

import pytest
from prometheus_client import CollectorRegistry

from protocol.client_events import ResponseCancel
from protocol.objects import (
    ErrorBody,
    PcmFormat,
    Response,
    ResponseError,
    ResponseStatus,
    ShownResponseAudio,
    ShownVoice,
    StatusDetails,
)
from protocol.server_events import Error, PlayoutCleared, PlayoutStopped, ResponseCreated, ResponseDone
from realtime.engine.client import EngineProcess
from realtime.engine.messages import EngineConfig
from realtime.metrics.registry import Metrics
from realtime.metrics.session_meters import SessionMeters, Transport
from realtime.request import Ended, Speak
from realtime.session.messages import AudioPlayed, AudioSent, ClauseAudio, Disconnected, Effect, Input, Send
from tests.session.harness import Talk

RATE = 24000


class Listened:
    """Meters, their registry and what its call goes through."""

    def __init__(self, transport: Transport = "websocket") -> None:
        metrics = Metrics(EngineProcess(EngineConfig()), lambda: [])
        self.registry: CollectorRegistry = metrics.registry
        self.meters: SessionMeters = metrics.session_meters(transport, RATE)
        self.transport = transport

    def begin(self, now: float, response_id: str = "resp_1") -> None:
        self.meters.told(ResponseCreated(event_id="e", response=_response(response_id, "in_progress")), now)

    def end(self, status: ResponseStatus, details: StatusDetails | None = None, response_id: str = "resp_1") -> None:
        self.meters.told(ResponseDone(event_id="e", response=_response(response_id, status, details)), 99.0)

    def audio(self, clause_id: str, now: float, waiting_s: float = 0.0) -> None:
        self.meters.clause_audio(clause_id, now, lambda response_id: waiting_s if response_id == "resp_1" else -1.0)

    def send(self, seconds: float, now: float, response_id: str = "resp_1") -> None:
        self.meters.sent(response_id, round(seconds * RATE), now)

    def value(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0

    def gaps(self, cause: str) -> tuple[float, float]:
        """How many, and their seconds."""
        labels = {"transport": self.transport, "cause": cause}
        return self.value("voiced_gap_seconds_count", **labels), self.value("voiced_gap_seconds_sum", **labels)

    def ended(self, status: str, reason: str = "") -> float:
        return self.value("voiced_responses_total", transport=self.transport, status=status, reason=reason)


class Watched(Talk):
    """A session driven by hand that is measured as a call does it."""

    def __init__(self, *, plays: bool) -> None:
        self.listened = Listened("webrtc" if plays else "websocket")
        super().__init__(plays=plays)

    def perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send():
                    self.listened.meters.told(effect.event, self.now)
                case Speak():
                    self.listened.meters.clause_asked(effect.request_id, self.now)
        super().perform(effects)

    def tell(self, message: Input) -> list[Effect]:
        meters = self.listened.meters
        match message:
            case ClauseAudio():
                meters.clause_audio(message.clause_id, self.now, self._waiting_s)
            case Ended():
                meters.clause_ended(message)
            case AudioSent() if not self.plays:
                meters.sent(message.response_id, message.samples, self.now)
            case AudioPlayed():
                meters.sent(message.response_id, message.samples, self.now)
        return super().tell(message)

    def _waiting_s(self, response_id: str) -> float:
        return sum(samples for waits, samples in self.playout if waits == response_id) / RATE


def _response(response_id: str, status: ResponseStatus, details: StatusDetails | None = None) -> Response:
    return Response(
        response_id, status, [], None, ["audio"], ShownResponseAudio(ShownVoice(PcmFormat())), status_details=details
    )


BOTH = pytest.mark.parametrize("plays", [False, True], ids=["the client plays", "the server plays"])


@BOTH
def test_a_session_that_speaks_and_is_interrupted_adds_up(plays: bool) -> None:
    talk = Watched(plays=plays)
    listened, transport = talk.listened, talk.listened.transport
    talk.respond("One two three. Four five six.")
    talk.now += 0.3
    talk.run_engine(1.0)
    if plays:
        talk.play(2.0)
    else:
        talk.now += 2.0
    cut = talk.respond("Seven eight nine.")
    talk.now += 0.1
    talk.audio(1.0)
    talk.deliver()
    talk.play(0.5)
    talk.tell(ResponseCancel())
    talk.deliver()
    assert talk.done(cut).status == "cancelled"
    assert listened.ended("completed") == listened.ended("cancelled", "client_cancelled") == 1
    assert listened.value("voiced_sessions_opened_total", transport=transport) == 1
    assert listened.value("voiced_first_audio_seconds_count", transport=transport) == 2
    packet = 0.02 if plays else 0.0  # the first has gone out when it is told
    first_audio = listened.value("voiced_first_audio_seconds_sum", transport=transport)
    assert first_audio == pytest.approx(0.4 + 2 * packet)
    assert listened.gaps("speech") == listened.gaps("words") == (0.0, 0.0)
    assert listened.value("voiced_audio_seconds_total", transport=transport) == pytest.approx(2.5 if plays else 3.0)
    assert not listened.meters._spoken, "nothing is kept of what is over"


@BOTH
def test_a_session_that_ends_in_the_middle_ends_its_responses(plays: bool) -> None:
    talk = Watched(plays=plays)
    talk.respond("One two three.")
    talk.run_engine(1.0)
    talk.respond("Four five six.", conversation="none")
    talk.audio(1.0)
    talk.tell(Disconnected())
    talk.listened.meters.hung_up()
    assert talk.listened.ended("completed") == talk.listened.ended("cancelled", "disconnected") == 1
    assert not talk.listened.meters._spoken


def test_first_audio_counts_from_the_beginning_of_the_response_and_once() -> None:
    listened = Listened("cartesia")
    listened.begin(10.0)
    for now in (10.3, 10.4, 10.5):
        listened.send(0.5, now)
    assert listened.value("voiced_first_audio_seconds_count", transport="cartesia") == 1
    assert listened.value("voiced_first_audio_seconds_sum", transport="cartesia") == pytest.approx(0.3)
    assert listened.value("voiced_first_audio_seconds_bucket", transport="cartesia", le="0.2") == 0
    assert listened.value("voiced_first_audio_seconds_bucket", transport="cartesia", le="0.5") == 1
    assert listened.value("voiced_audio_seconds_total", transport="cartesia") == pytest.approx(1.5)


def test_a_response_that_keeps_up_has_no_gap_however_its_audio_comes() -> None:
    listened = Listened()
    listened.begin(0.0)
    for index in range(200):
        listened.send(0.04, 1.0 + 0.04 * index + (0.039 if index % 2 else 0.0) - 0.039 * (index > 0))
    assert listened.gaps("speech") == listened.gaps("words") == (0.0, 0.0)


def test_silence_in_the_middle_is_a_gap_of_its_length_and_what_follows_plays_from_there() -> None:
    listened = Listened()
    listened.begin(0.0)
    listened.meters.clause_asked("resp_1.1", 0.0)
    listened.send(1.0, 1.0)  # until 2.0
    listened.send(1.0, 2.25)  # until 3.25
    listened.send(1.0, 3.2)  # until 4.25
    assert listened.gaps("speech") == (1.0, pytest.approx(0.25))
    listened.send(1.0, 4.75)
    assert listened.gaps("speech") == (2.0, pytest.approx(0.75))
    listened.end("completed")
    assert listened.ended("completed") == 1


def test_the_silence_after_the_last_audio_is_no_gap() -> None:
    listened = Listened()
    listened.begin(0.0)
    listened.send(0.1, 0.5)
    listened.end("completed")
    listened.begin(60.0, "resp_2")
    listened.send(0.1, 60.1, "resp_2")
    assert listened.gaps("speech") == listened.gaps("words") == (0.0, 0.0)


def test_delays_too_short_to_hear_add_up_to_gaps() -> None:
    listened = Listened()
    listened.begin(0.0)
    for index in range(101):
        listened.send(0.04, 0.041 * index)  # 1 ms more late each time
    count, seconds = listened.gaps("speech")
    assert 8 <= count <= 10, "one for each 10 ms"
    assert seconds == pytest.approx(0.1, abs=0.011)


def test_a_packet_that_is_a_little_late_is_no_gap() -> None:
    listened = Listened("webrtc")
    listened.begin(0.0)
    listened.send(0.02, 0.1)
    listened.send(0.02, 0.145)  # 25 ms late, and what was overdue follows at once
    listened.send(0.02, 0.145)
    listened.send(0.02, 0.16)
    assert listened.gaps("speech") == (0.0, 0.0)
    listened.send(0.02, 0.24)  # it had been played until 0.18
    assert listened.gaps("speech") == (1.0, pytest.approx(0.06))


def test_a_gap_is_put_down_to_words_that_were_there_too_late() -> None:
    listened = Listened()
    listened.begin(0.0)
    listened.meters.clause_asked("resp_1.1", 0.0)
    listened.send(1.0, 0.5)  # until 1.5
    listened.meters.clause_asked("resp_1.2", 3.0)
    listened.send(1.0, 3.5)  # until 4.5
    assert listened.gaps("words") == (1.0, pytest.approx(2.0))
    listened.meters.clause_asked("resp_1.3", 4.0)  # in time, and yet
    listened.send(1.0, 5.0)
    assert listened.gaps("words")[0] == 1.0
    assert listened.gaps("speech") == (1.0, pytest.approx(0.5))


def test_lead_is_what_the_listener_held_when_the_next_clause_gave_audio() -> None:
    listened = Listened()
    listened.begin(0.0)
    listened.meters.clause_asked("resp_1.1", 0.2)
    listened.audio("resp_1.1", 0.3)
    assert listened.value("voiced_engine_first_audio_seconds_sum") == pytest.approx(0.1)
    listened.send(1.0, 0.3)  # until 1.3
    listened.audio("resp_1.1", 0.4)
    assert listened.value("voiced_lead_seconds_count", transport="websocket") == 0
    listened.meters.clause_asked("resp_1.2", 0.5)
    listened.audio("resp_1.2", 0.8)
    listened.audio("resp_1.2", 0.9)
    assert listened.value("voiced_lead_seconds_count", transport="websocket") == 1
    assert listened.value("voiced_lead_seconds_sum", transport="websocket") == pytest.approx(0.5)
    listened.meters.clause_asked("resp_1.3", 5.0)
    listened.audio("resp_1.3", 5.1)
    assert listened.value("voiced_lead_seconds_bucket", transport="websocket", le="0.0") == 1
    assert listened.value("voiced_engine_first_audio_seconds_count") == 1, "later clauses may take their time"


def test_lead_counts_speech_that_was_made_and_has_not_gone_out() -> None:
    listened = Listened("webrtc")
    listened.begin(0.0)
    listened.meters.clause_asked("resp_1.1", 0.0)
    listened.audio("resp_1.1", 0.2)
    listened.meters.clause_asked("resp_1.2", 0.3)
    listened.audio("resp_1.2", 0.4, waiting_s=0.8)  # nothing has been heard yet
    listened.send(0.02, 0.5)
    listened.meters.clause_asked("resp_1.3", 0.5)
    listened.audio("resp_1.3", 0.51, waiting_s=1.5)
    assert listened.value("voiced_lead_seconds_sum", transport="webrtc") == pytest.approx(0.8 + 1.51)
    assert listened.value("voiced_engine_first_audio_seconds_count") == 1


def test_where_the_server_plays_speech_outlasts_its_response() -> None:
    listened = Listened("webrtc")
    listened.begin(0.0)
    listened.meters.clause_asked("resp_1.1", 0.0)
    listened.audio("resp_1.1", 0.1)
    listened.end("completed")
    assert listened.ended("completed") == 1
    listened.send(0.02, 0.2)
    assert listened.value("voiced_first_audio_seconds_sum", transport="webrtc") == pytest.approx(0.2)
    listened.send(0.02, 0.5)
    assert listened.gaps("speech") == (1.0, pytest.approx(0.28))
    listened.meters.told(PlayoutStopped(event_id="e", response_id="resp_1"), 0.6)
    listened.send(0.02, 0.9)
    assert listened.gaps("speech")[0] == 1.0, "its speech was over"


@pytest.mark.parametrize("cleared", [False, True])
def test_where_the_server_plays_a_response_ends_once_however_its_call_does(cleared: bool) -> None:
    listened = Listened("webrtc")
    listened.begin(0.0)
    listened.meters.clause_asked("resp_1.1", 0.0)
    listened.audio("resp_1.1", 0.1)
    if cleared:
        listened.meters.told(PlayoutCleared(event_id="e", response_id="resp_1"), 0.2)
    listened.end("cancelled", StatusDetails("cancelled", reason="turn_detected"))
    listened.meters.hung_up()
    assert listened.ended("cancelled", "turn_detected") == 1
    assert listened.ended("cancelled", "disconnected") == 0


def test_responses_at_the_same_time_have_clocks_of_their_own() -> None:
    listened = Listened()
    listened.begin(0.0, "resp_1")
    listened.begin(1.0, "resp_2")
    listened.send(5.0, 1.0, "resp_1")
    listened.send(0.1, 1.5, "resp_2")
    listened.send(0.1, 3.6, "resp_2")
    listened.send(0.1, 5.9, "resp_1")
    assert listened.value("voiced_first_audio_seconds_sum", transport="websocket") == pytest.approx(1.5)
    assert listened.gaps("speech") == (1.0, pytest.approx(2.0))


def test_every_response_ends_once_with_its_status_and_why() -> None:
    listened = Listened()
    overloaded = StatusDetails("failed", error=ResponseError("server_error", "overloaded", "All places are taken."))
    ends: list[tuple[ResponseStatus, StatusDetails | None, str]] = [
        ("completed", None, ""),
        ("incomplete", StatusDetails("incomplete", reason="max_output_tokens"), "max_output_tokens"),
        ("cancelled", StatusDetails("cancelled", reason="turn_detected"), "turn_detected"),
        ("failed", overloaded, "overloaded"),
    ]
    for status, details, reason in ends:
        listened.begin(0.0)
        listened.end(status, details)
        assert listened.ended(status, reason) == 1
    listened.begin(0.0, "resp_1")
    listened.begin(0.0, "resp_2")
    listened.meters.hung_up()
    listened.meters.hung_up()
    assert listened.ended("cancelled", "disconnected") == 2


def test_what_is_late_for_a_response_that_is_over_does_no_harm() -> None:
    listened = Listened()
    listened.meters.told(Error(event_id="e", error=ErrorBody("invalid_request_error", "invalid_value", "No.")), 0.0)
    listened.begin(0.0)
    listened.end("cancelled", StatusDetails("cancelled", reason="client_cancelled"))
    listened.meters.clause_asked("resp_1.2", 1.0)
    listened.audio("resp_1.1", 1.0)
    listened.send(0.5, 1.0)
    assert listened.value("voiced_first_audio_seconds_count", transport="websocket") == 0
    assert listened.value("voiced_audio_seconds_total", transport="websocket") == 0.5, "it was sent all the same"


def test_clauses_are_counted_with_what_they_took() -> None:
    listened = Listened()
    listened.meters.clause_ended(Ended("resp_1.1", "stop", prompt_positions=80, cached_positions=64, frames=25))
    listened.meters.clause_ended(Ended("resp_1.2", "overloaded", error="All places are taken."))
    assert listened.value("voiced_clauses_total", reason="stop") == 1
    assert listened.value("voiced_clauses_total", reason="overloaded") == 1
    assert listened.value("voiced_frames_total") == 25
    assert listened.value("voiced_prompt_positions_total") == 80
    assert listened.value("voiced_prompt_positions_cached_total") == 64

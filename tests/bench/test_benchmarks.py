"""Scope: every benchmark runs in its smallest setting and says what its README says. No timing is asserted."""

import argparse
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from realtime.bench import attacks, codec, ears, ears_recordings, engine, report, schedule, serve, talk, webrtc
from realtime.bench.webrtc_callers import lateness
from realtime.config import ConfigError

README = Path(report.__file__).parent / "README.md"


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Checkpoints that benchmarks make go to a folder of the test run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOICED_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def _run(benchmark: ModuleType, *options: str) -> dict[str, Any]:
    """A quick run, printed both ways; gives the JSON object back."""
    parser = argparse.ArgumentParser()
    benchmark.add_arguments(parser)
    args = parser.parse_args(["--quick", *options])
    result = benchmark.run(args)
    people, machines = io.StringIO(), io.StringIO()
    report.show(benchmark, result, as_json=False, out=people)  # type: ignore[arg-type]
    report.show(benchmark, result, as_json=True, out=machines)  # type: ignore[arg-type]
    assert people.getvalue().startswith("cpu ")
    (line,) = machines.getvalue().splitlines()
    decoded: dict[str, Any] = json.loads(line)
    assert decoded["benchmark"] == benchmark.NAME and decoded["quick"]
    return decoded


def _assert_documented(names: Any) -> None:
    documented = set(re.findall(r"`(\w+)`", README.read_text(encoding="utf-8")))
    assert not set(names) - documented, "keys that the README does not explain"


def test_engine_does_the_same_work_on_both_sides() -> None:
    result = _run(engine, "--threads", "1")
    _assert_documented(result)
    assert result["rows_equal"] == result["requests"]
    positive = ("frames_per_s_vs_sequential", "frames_per_s_vs_static_batch", "step_over_gemm", "host_ms_per_step")
    assert all(result[key] > 0 for key in positive)
    assert set(result["bars"]) == set(positive)
    assert all(isinstance(entry["holds"], bool) for entry in result["bars"].values())


def test_codec_reports_speed_and_an_error_that_falls_with_look_ahead() -> None:
    result = _run(codec, "--threads", "1")
    _assert_documented([*result, *result["speed"][0], *result["error"][0]])
    assert all(row[key] > 0 for row in result["speed"] for key in ("exact", "low_latency", "window"))
    for chunk in (1, 4):
        complete = {
            row["look_ahead_frames"]: row["log_mel_db"]
            for row in result["error"]
            if row["chunk_frames"] == chunk and row["context"] != "partial"
        }
        assert complete[0] > complete[4] >= complete[7]  # a causal codec needs no more than a frame


def test_schedule_refuses_under_overload_and_keeps_first_audio_early() -> None:
    result = _run(schedule, "--seconds", "40")
    _assert_documented([*result, *result["runs"][0]])
    over = {row["scheduler"]: row for row in result["runs"] if row["load_percent"] == 120}
    ours, theirs = over["by playout"], over["first come, first served"]
    assert ours["refused_percent"] > 0 == theirs["refused_percent"]
    assert ours["first_audio_p95_ms"] < theirs["first_audio_p95_ms"]
    assert ours["gap_percent"] == 0


def test_attacks_are_answered_and_leave_nothing_behind(noise_checkpoint: Callable[[int], Path]) -> None:
    options = ("--model", str(noise_checkpoint(1)), "--slots", "2", "--threads", "1", "--connects", "2")
    result = _run(attacks, *options, "--attacks", "1.2 MB,16 KiB,empty RTP,event flood")
    _assert_documented([*result, *result["runs"][0], *result["connects"][0]])
    answers = {run["attack"]: set(run["answered"]) for run in result["runs"]}
    assert answers["1.2 MB offers"] == {"413 request_too_large"}
    assert answers["16 KiB offers"] == {"400 invalid_offer"}
    assert answers["empty RTP"] == {"packets"}
    assert all(run["released"] and run["failed_responses"] == 0 for run in result["runs"])
    assert all(calls["failed"] == calls["sessions_left"] == 0 for calls in result["connects"])


def test_ears_are_cheap_and_make_nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = _run(ears, "--model", "tiny.en")
    _assert_documented([*result, *result["groups"][0]])
    assert result["model"] == "whisper tiny.en"
    assert result["word_error"] <= 0.15 and result["cpu_ratio_to_30s"] > 0
    assert result["hallucinations"] == 0 < result["sounds"]
    monkeypatch.setattr(ears_recordings, "ASTERISK", tmp_path / "none")
    with pytest.raises(ConfigError, match=r"apt-get install asterisk-core-sounds-en-g722\.$"):
        _run(ears, "--model", "tiny.en")


def test_words_are_compared_however_they_are_written() -> None:
    assert ears.words_of("Mr. Dashwood can't press 3, re-enter!") == ears.words_of(
        "mister dashwood can not press three re enter"
    )
    assert ears.distance("a b c d".split(), "a x c".split()) == 2
    assert ears.distance([], ["a"]) == ears.distance(["a"], []) == 1


def test_the_same_seed_gives_the_same_simulation() -> None:
    assert _run(schedule)["runs"] == _run(schedule)["runs"]


def test_a_listener_over_webrtc_hears_what_it_asked_for(noise_checkpoint: Callable[[int], Path]) -> None:
    options = ("--protocol", "webrtc", "--model", str(noise_checkpoint(1)), "--slots", "2", "--threads", "1")
    result = _run(serve, *options)
    (turn,) = result["turns"]
    _assert_documented([*result, *turn])
    assert turn["responses"] > 0 == turn["refused"]
    assert turn["audio_s"] > 0
    assert turn["first_audio_p50_ms"] > 0


def test_calls_are_carried_both_ways_by_either_side() -> None:
    result = _run(webrtc)
    _assert_documented([*result, *result["runs"][0]])
    assert {(row["side"], row["sound"], row["detection"]) for row in result["runs"]} == {
        ("ours", "speech", False),
        ("ours", "speech", True),
        ("ours", "silence", False),
        ("stock", "speech", False),
        ("stock", "silence", False),
    }
    for row in result["runs"]:
        assert min(row["sent_percent"], row["heard_percent"], row["arrived_percent"]) > 0, row
        assert row["cpu_us_per_packet"] > 0
        assert row["sessions_per_core"] == pytest.approx(20000 / row["cpu_us_per_packet"])
        assert row["arrival_late_p50_ms"] <= row["arrival_late_p99_ms"] <= row["arrival_late_max_ms"]
    stock = {row["sound"]: row["sessions_vs_stock"] for row in result["runs"] if row["side"] == "stock"}
    assert stock == {"speech": 1.0, "silence": 1.0}
    assert isinstance(result["bars"]["sessions_vs_stock"]["holds"], bool)


def test_a_packet_is_late_against_the_earliest_of_its_call() -> None:
    timestamps = [2**32 - 960, 0, 960, 1920]
    arrivals = [(5.000, timestamps[0]), (5.018, timestamps[1]), (5.043, timestamps[2]), (5.060, timestamps[3])]
    assert lateness(arrivals) == pytest.approx([0.002, 0.0, 0.005, 0.002])
    assert lateness([]) == []


def test_tables_line_up() -> None:
    table = report.Table("title", ("name", "n"), [("a", 1.0), ("longer", None), ("b", 12345.6)], ["a note"])
    assert report.text(table).splitlines() == [
        "title",
        "name        n",
        "------  -----",
        "a        1.00",
        "longer      -",
        "b       12346",
        "  a note",
    ]


def test_callers_who_speak_are_answered() -> None:
    result = _run(talk)
    (alone,) = result["rounds"]
    assert (alone["callers"], alone["turns"], alone["unanswered"]) == (1, 2, 0)
    assert alone["stop_to_sound_ms_p50"] > 0
    assert {"gateway", "realtime.engine.worker", "realtime.hearing.worker"} <= alone["memory_mb_by_process"].keys()

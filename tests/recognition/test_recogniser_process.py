"""Scope: Whisper behind its process boundary: tiny.en from its package on people's speech, and a process that is
killed, stopped, late or without weights."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from realtime.recognition import process as recognition_process
from realtime.recognition.messages import Prepare
from realtime.recognition.process import WhisperProcess
from realtime.recognition.recogniser import Job, Kind, NothingHeard, RecogniserUnavailable, Transcript
from realtime.recognition.waiting import MOST_OF_A_KIND
from tests.recognition.recordings import AUSTEN, austen, plain, wordless

PATIENCE_S = 120.0


@asynccontextmanager
async def _running(*setting: str) -> AsyncIterator[WhisperProcess]:
    recogniser = WhisperProcess(*setting or ("auto", "tiny.en"))
    task = asyncio.create_task(recogniser.run())
    try:
        async with asyncio.timeout(PATIENCE_S):
            await recogniser.ready()
            yield recogniser
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a process that steps back for others is slow: that is not what these tests are about."""
    for name in ("_PATIENCE_S", "_NAME_S"):
        monkeypatch.setattr(recognition_process, name, PATIENCE_S)


def _children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def _errors(said: str, heard: str) -> int:
    """Words to put in, take out or exchange."""
    wanted, got = said.split(), heard.split()
    row = list(range(len(got) + 1))
    for at, word in enumerate(wanted, 1):
        last, row[0] = row[0], at
        for to, other in enumerate(got, 1):
            last, row[to] = row[to], min(last + (word != other), row[to] + 1, row[to - 1] + 1)
    return row[-1]


async def _until_gone(children: set[int]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while _children() != children:
            await asyncio.sleep(0.01)


async def test_people_are_understood_silence_and_noise_are_not_and_nobody_pays_until_somebody_asks() -> None:
    await asyncio.sleep(0)
    children = _children()
    async with _running() as recogniser:
        assert (recogniser.name, recogniser.languages, recogniser.why) == ("whisper tiny.en", ("en",), "")
        await _until_gone(children)
        assert recogniser.pid is None, "it told what there is, and leaves: nobody asks"

        heard = {number: await recogniser.transcribe(Job(austen(number))) for number in AUSTEN}
        errors = sum(_errors(said, plain(heard[number].text)) for number, said in AUSTEN.items())
        assert errors <= 4, f"of 57 words: {[said.text for said in heard.values()]}"
        for said in heard.values():
            assert said.language == "en" and said.segments[0].start_s < 1.0
            assert said.duration_s - 1.0 < said.segments[-1].end_s <= said.duration_s

        with_words = await recogniser.transcribe(Job(austen("0930"), words=True))
        assert plain(" ".join(word.text for word in with_words.words)) == plain(with_words.text)
        times = [time for word in with_words.words for time in (word.start_s, word.end_s)]
        assert times == sorted(times) and 2.0 < times[-1] <= with_words.duration_s

        made_up = {}
        for name, pcm in wordless():
            with suppress(NothingHeard):
                made_up[name] = (await recogniser.transcribe(Job(pcm))).text
        assert not made_up

        own = psutil.Process(recogniser.pid)
        assert own.nice() == psutil.Process().nice() + 5, "it gives way to who speaks"
        assert own.environ()["OMP_NUM_THREADS"] == "1"
    await _until_gone(children)
    with pytest.raises(RecogniserUnavailable, match=r"stopping"):
        await recogniser.transcribe(Job(bytes(480)))


async def test_what_was_under_way_when_it_died_or_stopped_is_given_to_the_next_one() -> None:
    async with _running() as recogniser:
        said = (await recogniser.transcribe(Job(austen("0880")))).text
        for sign in (signal.SIGKILL, signal.SIGSTOP):
            before = recogniser.pid
            assert before is not None
            jobs = [asyncio.create_task(recogniser.transcribe(Job(austen("0880")))) for _ in range(2)]
            await asyncio.sleep(0.02)
            os.kill(before, sign)
            assert [(await job).text for job in jobs] == [said, said]
            assert recogniser.pid != before


async def test_a_job_that_ends_two_processes_fails_in_a_sentence_and_the_next_one_is_heard() -> None:
    async with _running() as recogniser:
        await recogniser.transcribe(Job(austen("0880")))
        job = asyncio.create_task(recogniser.transcribe(Job(austen("0870") * 3)))
        killed: set[int] = set()
        while len(killed) < 2:
            await asyncio.sleep(0.002)
            worker = recogniser._worker
            if worker is not None and worker.busy_with is not None and worker.process.pid not in killed:
                killed.add(worker.process.pid)
                os.kill(worker.process.pid, signal.SIGKILL)
        with pytest.raises(RecogniserUnavailable, match=r"stopped while it listened .*\.$"):
            await job
        assert (await recogniser.transcribe(Job(austen("0880")))).text


async def test_finals_overtake_what_is_dropped_is_never_looked_at_and_a_ninth_final_is_refused() -> None:
    async with _running() as recogniser:
        await recogniser.transcribe(Job(austen("0880")))
        order: list[str] = []

        async def ask(kind: Kind, name: str) -> None:
            await recogniser.transcribe(Job(austen("0880"), kind))
            order.append(name)

        asked: dict[str, Kind] = {
            "first": "final",
            "partial": "partial",
            "stale": "early",
            "early": "early",
            "final": "final",
        }
        tasks = {name: asyncio.create_task(ask(kind, name)) for name, kind in asked.items()}
        await asyncio.sleep(0)
        tasks["stale"].cancel()
        more = [asyncio.create_task(ask("final", "more")) for _ in range(MOST_OF_A_KIND - 1)]
        await asyncio.sleep(0)
        with pytest.raises(RecogniserUnavailable, match=r"^Too many recordings wait for the recogniser; try again"):
            await recogniser.transcribe(Job(austen("0880")))
        for task in more:
            task.cancel()
        await asyncio.gather(*tasks.values(), *more, return_exceptions=True)
        assert order == ["first", "final", "early", "partial"]


async def test_long_audio_is_understood_in_pieces_whose_times_are_those_of_the_whole() -> None:
    async with _running() as recogniser:
        whole = b"".join(map(austen, AUSTEN)) * 2
        said = await recogniser.transcribe(Job(whole))
        assert said.duration_s == pytest.approx(len(whole) / 48000) and said.duration_s > 28
        assert _errors(" ".join([*AUSTEN.values()] * 2), plain(said.text)) <= 12
        starts = [segment.start_s for segment in said.segments]
        assert starts == sorted(starts) and starts[-1] > 28


async def test_a_language_that_it_does_not_know_is_refused_by_name() -> None:
    async with _running() as recogniser:
        assert (await recogniser.transcribe(Job(austen("0880"), language="en-GB"))).language == "en"
        with pytest.raises(RecogniserUnavailable, match=r"^whisper tiny\.en understands en, and not 'fr'\.$"):
            await recogniser.transcribe(Job(austen("0880"), language="fr"))


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        (("/no/such/folder",), r"^There is no folder /no/such/folder; .*\.$"),
        (("auto", "large"), r"^No package holds Whisper 'large'; .*\.$"),
    ],
)
async def test_without_weights_it_says_why_and_refuses_with_it(setting: tuple[str, ...], why: str) -> None:
    async with _running(*setting) as recogniser:
        assert recogniser.name == ""
        with pytest.raises(RecogniserUnavailable, match=why) as refused:
            await recogniser.transcribe(Job(austen("0880")))
        assert str(refused.value) == recogniser.why


async def test_weights_that_do_not_load_are_told_with_their_folder(tmp_path: Path) -> None:
    from tests.recognition.test_weights import FILES

    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    async with _running(str(tmp_path)) as recogniser:
        assert recogniser.name == f"whisper {tmp_path.name}"
        with pytest.raises(RecogniserUnavailable, match=rf"^whisper .* cannot be loaded from {tmp_path}: .*\.$"):
            await recogniser.transcribe(Job(austen("0880")))
        assert recogniser.name == "" and recogniser.why


async def test_a_process_that_never_gets_ready_is_not_tried_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognition_process, "_ENVIRONMENT", {"PYTHONHOME": "/nowhere"})
    monkeypatch.setattr(recognition_process, "_RESTART_DELAYS_S", (0.0,))
    async with _running() as recogniser:
        assert recogniser.why == "The process that recognises speech ended 3 times in a row before it was ready."


async def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    async with _running() as recogniser:
        await recogniser.transcribe(Job(austen("0880")))
        assert recogniser.pid is not None
        monkeypatch.setattr(recognition_process, "_PATIENCE_S", 0.05)
        with pytest.raises(RecogniserUnavailable, match=r"did not answer in time"):
            os.kill(recogniser.pid, signal.SIGSTOP)
            await recogniser.transcribe(Job(austen("0880")))
        os.kill(recogniser.pid, signal.SIGCONT)


def test_messages_hold_what_a_job_says() -> None:
    import msgspec

    from realtime.recognition.messages import Inbound, Outbound, Understood, Work

    messages: list[Any] = [Prepare("auto", ""), Work(3, Job(b"\0\1", "early", "en", "a prompt", True, True))]
    for message in messages:
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=Inbound) == message
    answer = Understood(3, Transcript("yes", "en", 1.0))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(answer), type=Outbound) == answer

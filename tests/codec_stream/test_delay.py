"""Scope: the delay pattern, both ways, against transformers' processor."""

from types import SimpleNamespace

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.models.higgs_audio_v2.processing_higgs_audio_v2 import HiggsAudioV2Processor

from codec_stream.delay import UNKNOWN, DelayBuffer, delayed_rows

BOOKS, CODES, BOS, EOS = 8, 1024, 1024, 1025


def _frames(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, CODES, (count, BOOKS))


def _processor_rows(frames: np.ndarray) -> np.ndarray:
    codes = torch.from_numpy(frames).T[None]
    marker = codes.new_ones((1, BOOKS, 1))
    ids = torch.cat([marker * BOS, codes, marker * EOS], 2)
    ids_of_processor = SimpleNamespace(audio_stream_bos_id=BOS, audio_stream_eos_id=EOS)
    rows: torch.Tensor = HiggsAudioV2Processor.build_delay_pattern(ids_of_processor, ids)
    return rows[0].T.numpy()


@given(st.integers(0, 40), st.integers(0, 9))
def test_delayed_rows_are_those_of_the_processor(count: int, seed: int) -> None:
    frames = _frames(count, seed)
    assert np.array_equal(delayed_rows(frames, BOS, EOS), _processor_rows(frames))


@given(st.integers(0, 40), st.integers(0, 9), st.data())
def test_rows_pushed_one_by_one_give_the_frames_back_however_they_are_taken(
    count: int, seed: int, data: st.DataObject
) -> None:
    frames = _frames(count, seed)
    buffer = DelayBuffer(BOOKS, CODES)
    taken = []
    for row in delayed_rows(frames, BOS, EOS)[1:]:
        buffer.push(row)
        taken.append(buffer.take(data.draw(st.integers(0, 3)), data.draw(st.integers(0, 7))).frames)
    buffer.finish()
    taken.append(buffer.take(count, 4).frames)
    assert np.array_equal(np.concatenate(taken), frames)
    assert buffer.pending == 0


def test_a_frame_is_complete_with_the_row_of_its_last_codebook() -> None:
    frames = _frames(20)
    buffer = DelayBuffer(BOOKS, CODES)
    for row, ids in enumerate(delayed_rows(frames, BOS, EOS)[1:21], start=1):
        buffer.push(ids)
        assert buffer.pending == max(0, row - BOOKS + 1)  # frame t completes with row t + 8


@given(st.integers(9, 30), st.integers(0, 9), st.integers(0, 10), st.integers(0, 3))
def test_partial_frames_hold_what_is_known_and_nothing_else(
    pushed: int, seed: int, look_ahead: int, left_waiting: int
) -> None:
    frames = _frames(60, seed)
    rows = delayed_rows(frames, BOS, EOS)
    buffer = DelayBuffer(BOOKS, CODES)
    for row in rows[1 : pushed + 1]:
        buffer.push(row)
    complete = pushed - BOOKS + 1
    taken = max(0, complete - left_waiting)
    codes = buffer.take(taken, look_ahead)
    assert np.array_equal(codes.frames, frames[:taken])
    for index, partial in enumerate(codes.partial):
        frame = taken + index
        known = min(BOOKS, pushed - frame)  # codebook k of frame t came with row t + 1 + k
        assert np.array_equal(partial[:known], frames[frame, :known])
        assert (partial[known:] == UNKNOWN).all()
    assert len(codes.partial) == min(look_ahead, complete - taken + BOOKS - 1)


def test_look_ahead_ends_where_speech_ends() -> None:
    frames = _frames(20)
    buffer = DelayBuffer(BOOKS, CODES)
    rows = delayed_rows(frames, BOS, EOS)
    for row in rows[1:23]:  # the EOS of codebook 0 came with row 21: frame 20 is none
        buffer.push(row)
    codes = buffer.take(15, 7)
    assert len(codes.frames) == 15
    assert np.array_equal(codes.partial[0], np.where(np.arange(8) < 7, frames[15], UNKNOWN))
    assert len(codes.partial) == 5  # frames 15 … 19


def test_after_the_end_open_frames_are_no_look_ahead() -> None:
    frames = _frames(20)
    buffer = DelayBuffer(BOOKS, CODES)
    for row in delayed_rows(frames, BOS, EOS)[1:16]:  # cut off by a cap
        buffer.push(row)
    buffer.finish()
    codes = buffer.take(6, 7)
    assert len(codes.frames) == 6
    assert np.array_equal(codes.partial, frames[6:8])  # complete ones still count


@given(st.integers(0, 7), st.integers(9, 20), st.sampled_from([BOS, EOS]))
def test_frames_with_a_stream_marker_are_never_given(book: int, at: int, marker: int) -> None:
    frames = _frames(30)
    spoiled = frames.copy()
    spoiled[at, book] = marker
    buffer = DelayBuffer(BOOKS, CODES)
    for row in delayed_rows(spoiled, BOS, EOS)[1:]:
        buffer.push(row)
    got = buffer.take(100, 0).frames
    assert np.array_equal(got, np.delete(frames, at, axis=0))


@given(st.integers(0, 7), st.integers(1, 20))
def test_an_end_that_a_later_codebook_draws_first_gives_the_frames_of_the_processor(book: int, first_eos: int) -> None:
    """Codebook `book` draws EOS in row `first_eos`; from then on codebooks 0, 1, … are forced, one more per row."""
    random = np.random.default_rng(first_eos)
    rows = [np.full(BOOKS, BOS)]
    since = 0
    while not (rows[-1] == EOS).all():
        row = random.integers(0, CODES, BOOKS)
        index = len(rows)
        row[index:] = BOS
        if index == max(first_eos, book + 1):
            row[book] = EOS
        row[:since] = EOS
        if since or (row == EOS).any():
            since += 1
        rows.append(row)
    buffer = DelayBuffer(BOOKS, CODES)
    for row in rows[1:]:
        buffer.push(row)
    got = buffer.take(100, 0).frames
    # the processor reverts everything between the all-BOS and the all-EOS row and clips the markers; we leave out the
    # frames that hold one
    middle = torch.from_numpy(np.array(rows[1:-1]))
    offline = HiggsAudioV2Processor.revert_delay_pattern(None, middle).numpy() if len(middle) >= BOOKS else _frames(0)
    assert np.array_equal(got, offline[(offline < CODES).all(1)])

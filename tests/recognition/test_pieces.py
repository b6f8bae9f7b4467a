"""Scope: long audio in pieces, cut where nobody speaks, and their texts together again."""

import numpy as np
import pytest

from realtime.recognition.pieces import BYTES_PER_S, LONGEST_S, cut, joined, seconds
from realtime.recognition.recogniser import Segment, Transcript, Word
from tests.codec_stream.signals import voiced_sound


def _speech(*spoken_s: float) -> bytes:
    """Speech of so many seconds each, with half a second of silence between."""
    return bytes(BYTES_PER_S // 2).join(voiced_sound(round(each * 24000)).astype("<i2").tobytes() for each in spoken_s)


@pytest.mark.parametrize("length_s", [0.0, 0.5, 27.9, 28.0])
def test_what_is_short_enough_stays_whole(length_s: float) -> None:
    pcm = bytes(round(length_s * BYTES_PER_S))
    assert [(piece.start_s, piece.pcm) for piece in cut(pcm)] == [(0.0, pcm)]


def test_long_audio_is_cut_in_its_pauses_and_nothing_is_lost() -> None:
    pcm = _speech(10.0, 9.0, 12.0, 8.0, 14.0)
    pieces = list(cut(pcm))
    assert b"".join(piece.pcm for piece in pieces) == pcm
    assert all(seconds(piece.pcm) <= LONGEST_S for piece in pieces)
    pauses = [10.25, 19.75, 32.25, 40.75]
    for piece in pieces[1:]:
        assert min(abs(piece.start_s - pause) for pause in pauses) < 0.15


def test_audio_without_a_pause_is_cut_all_the_same() -> None:
    loud = (np.random.default_rng(1).standard_normal(70 * 24000) * 5000).astype("<i2").tobytes()
    pieces = list(cut(loud))
    assert b"".join(piece.pcm for piece in pieces) == loud
    assert all(10.0 < seconds(piece.pcm) <= LONGEST_S for piece in pieces[:-1])


def test_texts_are_joined_and_their_times_moved() -> None:
    def said(text: str) -> Transcript:
        return Transcript(text, "en", 9.0, (Segment(text, 1.0, 2.0, -0.1, 0.0, 1.0, 0.0),), (Word(text, 1.0, 1.5),))

    whole = joined([(0.0, said("one")), (20.0, said("two"))], 30.0)
    assert (whole.text, whole.language, whole.duration_s) == ("one two", "en", 30.0)
    assert [(segment.start_s, segment.end_s) for segment in whole.segments] == [(1.0, 2.0), (21.0, 22.0)]
    assert [(word.start_s, word.end_s) for word in whole.words] == [(1.0, 1.5), (21.0, 21.5)]

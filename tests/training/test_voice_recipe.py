"""Scope: the recipe of the voice in a tiny setting, on the stand-in's speech, each stage checked for what it leaves."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.oracle import transformers_codec
from training import prompt
from training.speak import Speaker
from training.speech import FRAME_S, HOP
from training.voice import books, codes, corpus, decoder, evaluate, gate, language, phase
from training.voice.__main__ import TINY, Plan, run, stages
from training.voice.quantizer import Quantizer
from training.voice.speakers import NOBODY, SPEAKERS, VOICES, voices_of
from training.voice.stand_in import StandIn


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("voice")
    run(folder, folder / "exported", TINY)
    return folder


def test_every_stage_leaves_what_the_next_one_needs(work: Path) -> None:
    spoken = list(corpus.read(work))
    assert len(spoken) == TINY.clauses
    assert {speaker for speaker, _, _ in spoken} == set(range(len(SPEAKERS)))
    assert np.load(work / "quantizer.npz")["books"].shape[:2] == (TINY.books, 256)
    assert np.load(work / "decoder.npz")["latents"].shape[1] == TINY.dims + 6
    for log in ("decoder.log", "encoder.log", "language.log"):
        for line in (work / log).read_text().splitlines():
            assert all(np.isfinite(value) for value in json.loads(line).values())
    assert {row["kind"] for row in json.loads((work / "evaluation.json").read_text())} == set(evaluate.kinds())
    assert "8 kHz mu-law line" in (work / "exported" / "README.md").read_text()
    assert (work / "contours" / "00.png").read_bytes().startswith(b"\x89PNG")


def test_a_second_run_makes_nothing_anew(work: Path) -> None:
    made = {path: path.stat().st_mtime_ns for path in work.rglob("*.npz")}
    run(work, work / "exported", TINY)
    assert {path: path.stat().st_mtime_ns for path in work.rglob("*.npz")} == made


def test_a_shard_gives_back_the_utterances_that_it_was_made_of(work: Path) -> None:
    for speaker, _, utterance in list(corpus.read(work))[:6]:
        said = StandIn().say(utterance.notation, SPEAKERS[speaker].name)
        assert (utterance.owner == said.owner).all()
        assert np.abs(utterance.rows - said.rows).max() < 0.01
        assert np.abs(utterance.f0 - said.f0).max() < 0.2
        assert len(utterance.notation) > utterance.owner.max()


def test_the_corpus_goes_on_with_the_shard_that_is_missing(work: Path, tmp_path: Path) -> None:
    corpus.build(tmp_path, StandIn(), TINY.clauses, minutes=0.0)
    assert len(list(corpus.read(tmp_path))) <= corpus.SHARD
    corpus.build(tmp_path, StandIn(), TINY.clauses)
    assert [text for _, text, _ in corpus.read(tmp_path)] == [text for _, text, _ in corpus.read(work)]


def test_the_gate_measures_the_pitch_that_the_codes_keep(work: Path) -> None:
    found = json.loads((work / "gate.json").read_text())
    assert found["cents_median"] < 25
    assert found["sentences"] == TINY.gate_sentences


def test_the_gate_stops_the_recipe_where_codes_lose_words() -> None:
    gate.hold({"codes": 0.02})
    with pytest.raises(ValueError, match="the codes lose words"):
        gate.hold({"codes": 0.03})


def test_a_gate_that_did_not_hold_stops_the_recipe_again(tmp_path: Path) -> None:
    (tmp_path / "gate.json").write_text(json.dumps({"codes": 0.03}))
    with pytest.raises(ValueError, match="the codes lose words"):
        dict(stages(tmp_path, tmp_path, Plan()))["gate"]()


def test_the_gate_stops_the_recipe_where_the_decoder_leaves_the_pitch() -> None:
    gate.hold_pitch(24.0)
    with pytest.raises(ValueError, match="does not follow the pitch"):
        gate.hold_pitch(26.0)


def test_every_gate_comes_before_most_of_the_speech_is_spoken(tmp_path: Path) -> None:
    names = [name for name, _ in stages(tmp_path, tmp_path, Plan())]
    first, gated, followed, rest = (names.index(name) for name in ("first speech", "gate", "pitch", "all speech"))
    assert first < gated < followed < rest < names.index("language model")


def test_the_corpus_ends_with_the_hours_that_were_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "SHARD", 5)

    def spoken(hours: float) -> int:
        corpus.build(tmp_path, StandIn(), TINY.clauses, hours)
        return len(list(corpus.read(tmp_path)))

    assert spoken(0.001) == 5
    held = sum(utterance.frames for _, _, utterance in corpus.read(tmp_path)) * FRAME_S / 3600
    assert spoken(held) == 5
    assert spoken(1.5 * held) == 10
    assert spoken(1.0) == TINY.clauses


def test_a_decoder_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"training\.voice\.decoder"):
        decoder.load(tmp_path)


def test_the_engine_speaks_with_a_voice_of_more_codebooks_than_the_envelope_has(work: Path) -> None:
    speaker = Speaker(work / "exported", slots=2, max_clause_s=1.0)
    assert list(speaker.info.scene_voices) == [voice.name for voice in VOICES]
    (said,) = speaker.say(["Hello there."], "ada", seed=1)
    assert len(said.samples) and len(said.samples) % HOP == 0


def test_the_exported_codec_says_the_codes_as_the_trained_decoder_does(work: Path) -> None:
    fitted = Quantizer.load(work / "quantizer.npz")
    speaker, _, utterance = next(corpus.read(work))
    voice = voices_of(speaker)[0]
    given = decoder.latents(fitted, utterance, voice)
    ids = books.ids(fitted.encode(utterance.rows), phase.codes(utterance.knots(VOICES[voice].ratio)), voice)
    codec = transformers_codec(work / "exported" / "codec")
    with torch.no_grad():
        stock = codec.decode(torch.from_numpy(ids.astype(np.int64)).T[None]).audio_values[0, 0].numpy()
    assert np.abs(stock - decoder.decode(decoder.load(work), given)).max() < 1e-3


def test_clips_are_given_to_voices_of_their_speaker_and_hidden_voices_keep_their_place(work: Path) -> None:
    tokenizer = prompt.build_tokenizer(language.NAMES)
    corpus_, speech = language.load(work, tokenizer)
    sampler = language.VoiceSampler(corpus_, speech, tokenizer, 258, 0, 400, range(len(corpus_)))
    hidden = set()
    for _ in range(60):
        for kind, run_ in sampler.sample().runs:
            if kind == "audio":
                last = run_[:, -1][run_[:, -1] < 256]
                hidden |= set((last // phase.SIXTEENTHS).tolist())
                assert len(set(last % phase.SIXTEENTHS)) > 2
    assert hidden == {*range(len(VOICES)), NOBODY}
    assert all(speech.speakers[sampler._pick(number)] == voice.speaker for number, voice in enumerate(VOICES))


def test_speech_that_is_cut_into_frames_elsewhere_is_the_same_speech(work: Path) -> None:
    _, _, utterance = next(corpus.read(work))
    moved = codes.later(utterance, 2)
    assert moved.frames == utterance.frames
    assert np.allclose(moved.rows[2:], utterance.rows[:-2])
    assert np.allclose(moved.f0[4:], utterance.f0[:-4])


def test_the_likeness_of_contours_knows_rising_from_falling() -> None:
    up = np.concatenate([np.zeros(5), np.linspace(100, 150, 60), np.zeros(5)])
    assert evaluate.likeness(up[::2], up) > 0.95
    assert evaluate.likeness(up[::-1], up) < -0.95
    assert evaluate.likeness(np.zeros(0), up) == 0.0


def test_a_line_keeps_the_length_and_takes_what_is_above_four_kilohertz() -> None:
    time = np.arange(24_000) / 24_000
    for hertz, kept in ((1000, True), (6000, False)):
        wave = 0.5 * np.sin(2 * np.pi * hertz * time).astype(np.float32)
        heard = evaluate.line(wave)
        assert len(heard) == len(wave)
        assert (np.abs(heard[2000:-2000]).max() > 0.4) == kept


def test_the_books_find_the_codes_that_the_latents_were_made_of(work: Path) -> None:
    """The stock encoder searches one book after the other, each over all dims."""
    fitted = Quantizer.load(work / "quantizer.npz")
    _, _, utterance = next(corpus.read(work))
    pairs = phase.codes(utterance.knots())
    served = books.served(fitted)
    for voice in range(len(VOICES)):
        ids = books.ids(fitted.encode(utterance.rows, beam=1), pairs, voice)
        rest = served.decode(ids)
        content = fitted.books.shape[2]
        rest[:, :content] = fitted.latents(utterance.rows)
        rest[:, -1] = 0.5  # of a sawtooth an encoder finds the middle
        found = []
        for book in served.books:
            found.append(((rest[:, None] - book) ** 2).sum(2).argmin(1))
            rest = rest - book[found[-1]]
        assert (np.stack(found, 1)[:, -2:] == ids[:, -2:]).mean() > 0.97

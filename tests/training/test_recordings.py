"""Scope: a folder of anybody's recordings becomes what the trainer of any checkpoint reads."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from codec_stream.codec_config import CodecConfig
from codec_stream.encoder import Encoder
from codec_stream.weights import load_codec_weights
from realtime.engine.models.higgs_v2.checkpoint import open_checkpoint
from training.higgs import IGNORE, losses
from training.language import Settings, Task, open_task, train
from training.recordings import Recordings, RecordingSampler, encode, read, write
from training.speak import Speaker
from training.speech import HOP, Clip, read_folder, write_folder

LIMIT = 900


def recordings(folder: Path, codec: Path) -> Recordings:
    """Five clips by two speakers, from a folder on disk through the codec's own encoder."""
    draw = np.random.default_rng(0)
    clips = [
        Clip(f"Sentence {'one two three four five'.split()[index]}.", "ann" if index % 2 else "bob", wave)
        for index, wave in enumerate(draw.standard_normal((5, 9 * HOP)).astype(np.float32) * 0.1)
    ]
    write_folder(folder, clips)
    encoder = Encoder(CodecConfig.from_json(codec / "config.json"), load_codec_weights(codec))
    return encode(read_folder(folder), encoder.encode)


@pytest.fixture(scope="module")
def recorded(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder that holds them."""
    work = tmp_path_factory.mktemp("recorded")
    write(work, recordings(work / "folder", exported / "codec"))
    return work


def test_clips_are_encoded_by_the_checkpoints_codec_and_read_back(recorded: Path) -> None:
    found = read(recorded)
    assert len(found) == 5 and found.codes.shape == (5 * 9, 8)
    assert found.texts[1] == "Sentence two." and found.speakers == ["bob", "ann", "bob", "ann", "bob"]


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    write_folder(tmp_path, [])
    with pytest.raises(ValueError, match="names no clips"):
        encode(read_folder(tmp_path), lambda samples: samples)


def test_a_clip_of_the_same_speaker_comes_first_and_is_not_learned(recorded: Path, exported: Path) -> None:
    sampler = RecordingSampler(read(recorded), open_checkpoint(str(exported)), 0, LIMIT, range(5))
    sample = sampler.sample(2, reference=0)
    assert [kind for kind, _ in sample.runs] == ["text", "audio", "text", "audio", "text"]
    heard, learned = sample.labels
    assert (heard == IGNORE).all() and (learned != IGNORE).any()
    alone = sampler.sample(2, reference=None)
    assert [kind for kind, _ in alone.runs] == ["text", "audio", "text"]
    np.testing.assert_array_equal(alone.runs[1][1], sample.runs[3][1])


def test_batches_hold_what_they_promise(recorded: Path, exported: Path) -> None:
    sampler = RecordingSampler(read(recorded), open_checkpoint(str(exported)), 0, LIMIT, range(5))
    for batch in islice(sampler.batches(400), 5):
        assert len(batch.positions) <= 400
        assert batch.rows.shape == batch.labels.shape
        assert not len(batch.guide_rows)  # nobody knows which phone sounds when


def test_clips_that_do_not_fit_are_an_error(recorded: Path, exported: Path) -> None:
    with pytest.raises(ValueError, match="no clip fits into 30 positions"):
        RecordingSampler(read(recorded), open_checkpoint(str(exported)), 0, 30, range(5))


def test_recordings_need_a_checkpoint(recorded: Path) -> None:
    with pytest.raises(ValueError, match="--from"):
        open_task(recorded, None)


def test_a_checkpoint_is_trained_on_recordings(recorded: Path, exported: Path) -> None:
    torch.manual_seed(0)
    settings = Settings(minutes=5, steps=30, rate=3e-3, positions=400, guide=0.1, device="cpu", seed=0)
    before = open_task(recorded, str(exported))
    train(recorded, settings, str(exported), small=True)
    after = open_task(recorded, str(recorded / "language"))
    assert loss(after) < 0.9 * loss(before)
    assert Speaker(recorded / "language").info.default_voice == "sam"  # complete: the engine opens it


def loss(task: Task) -> float:
    with torch.no_grad():
        return losses(task.model, task.validation).codebooks.sum().item()

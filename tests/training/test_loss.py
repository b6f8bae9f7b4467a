"""Scope: the trainer's loss is transformers' own, for single sentences, dialogues and conversations in one batch."""

from pathlib import Path

import pytest
import torch
from transformers import HiggsAudioV2ForConditionalGeneration

from tests.training.conftest import NAMES
from training import prompt
from training.batches import Sample, Sampler, load_corpus, pack
from training.higgs import IGNORE, losses
from training.language import pocket_config


@pytest.fixture(scope="module")
def sampler(work: Path) -> Sampler:
    tokenizer = prompt.build_tokenizer(NAMES)
    return Sampler(load_corpus(work, tokenizer), tokenizer, NAMES, 258, 3, 400, range(30))


@pytest.fixture(scope="module")
def model() -> HiggsAudioV2ForConditionalGeneration:
    torch.manual_seed(1)
    made = HiggsAudioV2ForConditionalGeneration(pocket_config(prompt.build_tokenizer(NAMES), small=True))
    for parameter in made.parameters():  # norms of one would hide a mix-up of the two sets
        torch.nn.init.normal_(parameter, 0.05 if parameter.ndim == 2 else 1.0, 0.1)
    return made


def stock_inputs(samples: list[Sample], audio_token: int) -> dict[str, torch.Tensor]:
    """The same conversations as transformers takes them: right-padded ids, rows, and each row as its own label."""
    length = max(sample.length for sample in samples)
    rows = max(sum(len(run) for kind, run in sample.runs if kind == "audio") for sample in samples)
    ids = torch.zeros(len(samples), length, dtype=torch.long)
    mask = torch.zeros(len(samples), length, dtype=torch.long)
    audio = torch.zeros(len(samples), rows, 8, dtype=torch.long)
    audio_mask = torch.zeros(len(samples), rows, dtype=torch.bool)
    labels = torch.full((len(samples), rows, 8), IGNORE)
    for number, sample in enumerate(samples):
        at = seen = turn = 0
        for kind, run in sample.runs:
            if kind == "text":
                ids[number, at : at + len(run)] = torch.from_numpy(run)
            else:
                ids[number, at : at + len(run)] = audio_token
                audio[number, seen : seen + len(run)] = torch.from_numpy(run)
                labels[number, seen + 1 : seen + len(run)] = torch.from_numpy(sample.labels[turn])[:-1]
                seen, turn = seen + len(run), turn + 1
            at += len(run)
        mask[number, :at] = 1
        audio_mask[number, :seen] = True
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "audio_input_ids": audio,
        "audio_input_ids_mask": audio_mask,
        "audio_labels": labels,
    }


def test_loss_equals_the_stock_forward(sampler: Sampler, model: HiggsAudioV2ForConditionalGeneration) -> None:
    samples = [sampler.sample() for _ in range(6)] + [sampler.sample([3], voice=1)]
    ours = losses(model, pack(samples)).codebooks.sum()
    stock = model(**stock_inputs(samples, model.config.audio_token_id)).loss
    assert ours.item() == pytest.approx(stock.item(), rel=1e-5)


def test_gradients_equal_the_stock_forward(sampler: Sampler, model: HiggsAudioV2ForConditionalGeneration) -> None:
    samples = [sampler.sample() for _ in range(3)]
    gradients = []
    for loss in (
        losses(model, pack(samples)).codebooks.sum(),
        model(**stock_inputs(samples, model.config.audio_token_id)).loss,
    ):
        model.zero_grad()
        loss.backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    for name, stock in gradients[1].items():
        torch.testing.assert_close(gradients[0][name], stock, rtol=1e-3, atol=1e-5)

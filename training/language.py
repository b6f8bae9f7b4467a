"""Train the language model: prompts and rows in, the next row out.

    python -m training.language WORK --minutes 60
    torchrun --nproc-per-node 2 -m training.language WORK --minutes 60

Starts from WORK/language (a folder in the transformers format) if `--from` names one, else from random weights of the
pocket size. One process, or several on CPU (gloo) or GPUs by torchrun. The rate is flat and falls over the last part
of the budget, so a run can be stretched by giving it more minutes. Resumes from WORK/language.pt."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as distributed
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from transformers import HiggsAudioV2Config, HiggsAudioV2ForConditionalGeneration

from training import checkpointing, prompt
from training.batches import Corpus, Sampler, load_corpus, pack
from training.higgs import Batch, Losses, losses
from training.speech import VOICES

POSITIONS = 2048
VALIDATION_CLIPS = 64
COOLDOWN = 0.3  # share of the budget over which the rate falls


@dataclass(frozen=True)
class Settings:
    minutes: float
    steps: int
    rate: float
    positions: int
    guide: float
    device: str
    seed: int


def pocket_config(
    tokenizer: Tokenizer, entries: int = 256, codebooks: int = 8, small: bool = False
) -> HiggsAudioV2Config:
    """The size that speaks in real time on one core; `small` is for tests."""
    ids = {token: tokenizer.token_to_id(token) for token in prompt.SPECIAL}
    return HiggsAudioV2Config(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=64 if small else 256,
        intermediate_size=96 if small else 640,
        num_hidden_layers=2 if small else 5,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16 if small else 64,
        max_position_embeddings=POSITIONS,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        num_codebooks=codebooks,
        codebook_size=entries + 2,
        audio_stream_bos_id=entries,
        audio_stream_eos_id=entries + 1,
        audio_token_id=ids[prompt.AUDIO],
        audio_bos_token_id=ids[prompt.AUDIO_BOS],
        audio_delay_token_id=ids[prompt.DELAY],
        bos_token_id=ids[prompt.BOS],
        eos_token_id=ids[prompt.EOT],
        pad_token_id=ids[prompt.PAD],
    )


class Objective(nn.Module):
    """The model with its loss as one module, so that data parallel training sees a single forward."""

    def __init__(self, model: HiggsAudioV2ForConditionalGeneration, weights: Tensor) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("weights", weights, persistent=False)
        layers = model.config.num_hidden_layers
        self._guided = (1, 3) if layers >= 4 else (layers - 1,)

    def forward(self, batch: Batch, guide: float) -> tuple[Tensor, Losses]:
        result = losses(self.model, batch, self._guided if guide else (), guided_heads=2)
        total = (result.codebooks * self.weights).sum() + guide * result.guide
        if result.text is not None:
            total = total + result.text
        return total, result


def codebook_weights(codebooks: int) -> Tensor:
    """Coarse codes carry the words: twice the weight, down to a third; the voice's codebook is learned at once."""
    weights = torch.linspace(2.0, 0.5, codebooks)
    weights[-1] = 0.3
    return weights


def rate_at(done: float, step: int) -> float:
    return min(1.0, (step + 1) / 150) * min(1.0, max(0.03, (1.0 - done) / COOLDOWN))


def train(work: Path, settings: Settings, source: Path | None, small: bool = False) -> None:
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if world > 1 and not distributed.is_initialized():
        distributed.init_process_group("nccl" if settings.device.startswith("cuda") else "gloo")
    torch.manual_seed(settings.seed)
    voices = [voice.name for voice in VOICES]
    tokenizer = prompt.build_tokenizer(voices)
    if source:
        model = HiggsAudioV2ForConditionalGeneration.from_pretrained(source, dtype=torch.float32)
    else:
        model = HiggsAudioV2ForConditionalGeneration(pocket_config(tokenizer, small=small))
    model = model.to(settings.device).train()
    config = model.config
    corpus = load_corpus(work, tokenizer)
    validation = validation_batch(corpus, tokenizer, voices, config.codebook_size)
    state = checkpointing.load(work / "language.pt")
    step, spent = (state["step"], state["spent"]) if state else (0, 0.0)
    drawn = range(len(corpus) - held_back(corpus))
    sampler = Sampler(corpus, tokenizer, voices, config.codebook_size, hash((settings.seed, rank, step)), 900, drawn)
    objective = Objective(model, codebook_weights(config.num_codebooks).to(settings.device))
    optimiser = torch.optim.AdamW(parameter_groups(model), lr=settings.rate, betas=(0.9, 0.97), eps=1e-8)
    if state:
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
    parallel = DistributedDataParallel(objective) if world > 1 else objective
    log = checkpointing.LossLog(work / "language.log")
    casting = torch.autocast(settings.device.split(":")[0], torch.bfloat16)
    total, count, seen = torch.zeros(config.num_codebooks), 0, 0
    for batch in sampler.batches(settings.positions):
        elapsed = spent + log.seconds
        done = max(step / settings.steps, elapsed / (60 * settings.minutes))
        if world > 1:  # clocks differ; rank 0's decides
            agreed = torch.tensor([done], device=settings.device)
            distributed.broadcast(agreed, 0)
            done = float(agreed)
        if done >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = settings.rate * rate_at(done, step)
        with casting:
            loss, parts = parallel(batch.to(settings.device), settings.guide * max(0.1, 1 - 2 * done))
        model.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        step, count, seen = step + 1, count + 1, seen + len(batch.positions)
        total += parts.codebooks.detach().cpu()
        if rank == 0 and step % 100 == 0:
            mean = (total / count).tolist()
            log.write(
                step=step, **{f"c{i}": value for i, value in enumerate(mean)}, guide=parts.guide.item(),
                norm=norm.item(), positions_per_s=seen * world / log.seconds,
            )  # fmt: skip
            total, count = torch.zeros(config.num_codebooks), 0
        if rank == 0 and step % 500 == 0:
            with torch.no_grad(), casting:
                held = losses(model, validation.to(settings.device)).codebooks.tolist()
            log.write(step=step, **{f"validation_c{i}": value for i, value in enumerate(held)})
            _save(work, model, optimiser, step, elapsed)
    if rank == 0:
        _save(work, model, optimiser, step, spent + log.seconds)
        model.save_pretrained(work / "language")
    if world > 1:
        distributed.destroy_process_group()


def parameter_groups(model: nn.Module) -> list[dict[str, object]]:
    """Matrices decay, norms and embeddings do not."""
    decayed = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    return [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]


def held_back(corpus: Corpus) -> int:
    return min(VALIDATION_CLIPS, len(corpus) // 4)


def validation_batch(corpus: Corpus, tokenizer: Tokenizer, voices: list[str], codebook_size: int) -> Batch:
    """The corpus's last clips, each by one voice."""
    last = range(len(corpus) - held_back(corpus), len(corpus))
    sampler = Sampler(corpus, tokenizer, voices, codebook_size, 1, POSITIONS, last)
    return pack([sampler.sample([index], voice=index % len(voices)) for index in last])


def _save(work: Path, model: nn.Module, optimiser: Optimizer, step: int, spent: float) -> None:
    state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "step": step, "spent": spent}
    checkpointing.save(work / "language.pt", state)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--from", dest="source", type=Path)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--steps", type=int, default=10**9)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--positions", type=int, default=1600)
    parser.add_argument("--guide", type=float, default=0.3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--small", action="store_true")
    o = parser.parse_args()
    if o.device == "cpu":
        torch.set_num_threads(1)  # more threads in one process lose to as many processes
    settings = Settings(o.minutes, o.steps, o.rate, o.positions, o.guide, o.device, o.seed)
    train(o.work, settings, o.source, o.small)


if __name__ == "__main__":
    main()

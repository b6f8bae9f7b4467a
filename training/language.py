"""Train the language model: prompts and rows in, the next row out.

    python -m training.language WORK --minutes 60
    torchrun --nproc-per-node 2 -m training.language WORK --minutes 60
    python -m training.language WORK --from CHECKPOINT --rate 2e-5 --device cuda

Trains on what WORK holds: the synthesiser's speech (`training.prepare`), or recordings (`training.recordings`), which
need a checkpoint to start from. `--from` names one, any Higgs Audio V2 folder; without it the weights are random and of
the pocket size. One process, or several on CPU (gloo) or GPUs by torchrun. The rate is flat and falls over the last
part of the budget, so a run can be stretched by giving it more minutes. Resumes from WORK/language.pt."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as distributed
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from transformers import HiggsAudioV2Config, HiggsAudioV2ForConditionalGeneration

from realtime.engine.models.higgs_v2.checkpoint import Checkpoint, open_checkpoint
from training import checkpointing, prompt, recordings
from training.batches import Sampler, load_corpus, pack
from training.compiling import compiled
from training.higgs import Batch, Losses, losses
from training.recordings import RecordingSampler
from training.speech import VOICES

POSITIONS = 2048
LONGEST = 900  # positions of one conversation
VALIDATION_CLIPS = 64
ONSET_WEIGHT = 0.05  # where a turn first names its voice, a dozen rows a batch; later rows only repeat it
COOLDOWN = 0.5  # share of the budget over which the rate falls


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
    """Return the config of the size that speaks in real time on one core; `small` is for tests."""
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


@dataclass(frozen=True)
class Task:
    """Says what is trained on what, and how the parts of the loss are weighted."""

    model: HiggsAudioV2ForConditionalGeneration
    batches: Callable[[int, int], Iterator[Batch]]  # takes a seed, and about how many positions a batch has
    validation: Batch
    weights: Tensor  # [codebooks]
    onset: float
    guided: bool


class Objective(nn.Module):
    """Joins the model with its loss in one module, so that data parallel training sees a single forward."""

    weights: Tensor

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.model, self._onset, self._guides = task.model, task.onset, task.guided
        self.register_buffer("weights", task.weights, persistent=False)
        layers = self.model.config.num_hidden_layers
        self._guided = (1, 3) if layers >= 4 else (layers - 1,)

    def forward(self, batch: Batch, guide: Tensor) -> tuple[Tensor, Losses]:
        result = losses(self.model, batch, self._guided if self._guides else (), guided_heads=2)
        total = (result.codebooks * self.weights).sum() + guide * result.guide + self._onset * result.onset
        if result.text is not None:
            total = total + result.text
        return total, result


def codebook_weights(codebooks: int) -> Tensor:
    """Return the weights of the codebooks.

    Coarse codes carry the words, so the weights fall from 2 to about a half. The voice's codebook, which is learned at
    once, has 0.3.
    """
    weights = torch.linspace(2.0, 0.5, codebooks)
    weights[-1] = 0.3
    return weights


def rate_at(done: float, step: int) -> float:
    return min(1.0, (step + 1) / 150) * min(1.0, max(0.03, (1.0 - done) / COOLDOWN))


def train(
    work: Path,
    settings: Settings,
    source: str | None = None,
    small: bool = False,
    codec: str | None = None,
    task: Task | None = None,
) -> None:
    """Train the language model, as the top of the file says.

    `source` is the checkpoint to start from. `codec` says where it has its codec, if it does not say itself. `task` is
    what is trained, if it is not what WORK holds.
    """
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if world > 1 and not distributed.is_initialized():
        distributed.init_process_group("nccl" if settings.device.startswith("cuda") else "gloo")
    torch.manual_seed(settings.seed)
    task = task or open_task(work, source, small, codec)
    model = task.model.to(settings.device).train()
    config = model.config
    state = checkpointing.load(work / "language.pt")
    step, spent = (state["step"], state["spent"]) if state else (0, 0.0)
    objective = Objective(task).to(settings.device)
    optimiser = torch.optim.AdamW(parameter_groups(model), lr=settings.rate, betas=(0.9, 0.97), eps=1e-8)
    if state:
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
    stepped = compiled(objective, eager=small)
    parallel = DistributedDataParallel(stepped) if world > 1 else stepped
    log = checkpointing.LossLog(work / "language.log")
    casting = torch.autocast(settings.device.split(":")[0], torch.bfloat16)
    total, count, seen = torch.zeros(config.num_codebooks), 0, 0
    for batch in task.batches(hash((settings.seed, rank, step)), settings.positions):
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
            # a plain number would be compiled into the step
            guide = torch.tensor(settings.guide * max(0.1, 1 - 2 * done))
            loss, parts = parallel(batch.to(settings.device), guide)
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
                onset=parts.onset.item(), norm=norm.item(), positions_per_s=seen * world / log.seconds,
            )  # fmt: skip
            total, count = torch.zeros(config.num_codebooks), 0
        if rank == 0 and step % 500 == 0:
            with torch.no_grad(), casting:
                held = losses(model, task.validation.to(settings.device)).codebooks.tolist()
            log.write(step=step, **{f"validation_c{i}": value for i, value in enumerate(held)})
            _save(work, model, optimiser, step, elapsed)
    if rank == 0:
        if count:
            mean = (total / count).tolist()
            log.write(step=step, **{f"c{i}": value for i, value in enumerate(mean)})
        _save(work, model, optimiser, step, spent + log.seconds)
        model.save_pretrained(work / "language")
        if source and not task.guided:
            copy_rest(open_checkpoint(source, codec), work / "language")
    if world > 1:
        distributed.destroy_process_group()


def parameter_groups(model: nn.Module) -> list[dict[str, object]]:
    """Return groups of parameters in which matrices have weight decay, norms and embeddings none."""
    decayed = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    return [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]


def open_task(work: Path, source: str | None, small: bool = False, codec: str | None = None) -> Task:
    """Return the task of the recordings if WORK holds any, or else that of the synthesiser's speech.

    Raises ValueError for recordings without a checkpoint.
    """
    if not (work / "recordings.npz").exists():
        return pocket_task(work, source, small)
    if source is None:
        raise ValueError(f"{work} holds recordings: say with --from which checkpoint is trained on them")
    return recordings_task(work, open_checkpoint(source, codec))


def pocket_task(work: Path, source: str | None, small: bool) -> Task:
    voices = [voice.name for voice in VOICES]
    tokenizer = prompt.build_tokenizer(voices)
    if source:
        model = HiggsAudioV2ForConditionalGeneration.from_pretrained(source, dtype=torch.float32)
    else:
        model = HiggsAudioV2ForConditionalGeneration(pocket_config(tokenizer, small=small))
    size = model.config.codebook_size
    corpus = load_corpus(work, tokenizer)
    kept = len(corpus) - held_back(len(corpus))

    def drawn(seed: int, positions: int) -> Iterator[Batch]:
        return Sampler(corpus, tokenizer, voices, size, seed, LONGEST, range(kept)).batches(positions)

    last = range(kept, len(corpus))  # each clip is spoken by one voice
    sampler = Sampler(corpus, tokenizer, voices, size, 1, POSITIONS, last)
    validation = pack([sampler.sample([index], voice=index % len(voices)) for index in last])
    return Task(model, drawn, validation, codebook_weights(model.config.num_codebooks), ONSET_WEIGHT, guided=True)


def recordings_task(work: Path, checkpoint: Checkpoint) -> Task:
    """Return the task of recordings, whose loss is the stock one, unweighted: the released checkpoints were trained
    with it.

    Raises ValueError where the recordings were encoded by another codec.
    """
    recorded = recordings.read(work)
    model = HiggsAudioV2ForConditionalGeneration.from_pretrained(checkpoint.folder, dtype=torch.float32)
    if recorded.codes.shape[1] != model.config.num_codebooks:
        raise ValueError(
            f"{work / 'recordings.npz'} holds {recorded.codes.shape[1]} codebooks and the checkpoint has "
            f"{model.config.num_codebooks}: encode the recordings with this checkpoint's codec"
        )
    kept = len(recorded) - held_back(len(recorded))

    def drawn(seed: int, positions: int) -> Iterator[Batch]:
        limit = max(LONGEST, positions)
        return RecordingSampler(recorded, checkpoint, seed, limit, range(kept)).batches(positions)

    last = range(kept, len(recorded)) or range(kept)
    sampler = RecordingSampler(recorded, checkpoint, 1, checkpoint.config.max_positions, last)
    validation = pack([sampler.sample(index, None) for index in last])
    return Task(model, drawn, validation, torch.ones(model.config.num_codebooks), 0.0, guided=False)


def copy_rest(checkpoint: Checkpoint, folder: Path) -> None:
    """Copy what a checkpoint needs beside weights and config, so that `folder` can be served as the checkpoint
    could.
    """
    for file in checkpoint.folder.iterdir():
        if file.is_file() and not file.name.startswith("model") and file.name != "config.json":
            shutil.copy2(file, folder)
    if checkpoint.codec_folder.is_relative_to(checkpoint.folder):
        inside = checkpoint.codec_folder.relative_to(checkpoint.folder)
        shutil.copytree(checkpoint.codec_folder, folder / inside, dirs_exist_ok=True)


def held_back(clips: int) -> int:
    return min(VALIDATION_CLIPS, clips // 4)


def _save(work: Path, model: nn.Module, optimiser: Optimizer, step: int, spent: float) -> None:
    state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "step": step, "spent": spent}
    checkpointing.save(work / "language.pt", state)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--from", dest="source", help="checkpoint folder or hub id whose weights are trained on")
    parser.add_argument("--codec", help="where that checkpoint's codec is, if it does not say itself")
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
    train(o.work, settings, o.source, o.small, o.codec)


if __name__ == "__main__":
    main()

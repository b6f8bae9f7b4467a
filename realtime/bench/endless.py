"""Makes noise checkpoints for benchmarks, whose voice never ends by itself, and keeps them in the cache folder.

A random model draws the end marker early. Here its logits are zero, below the best of a thousand others, so that under
greedy sampling every request runs to its cap on both sides of a comparison (the benchmarks check that it did).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from safetensors.torch import load_file, save_file

from codec_stream.synthetic import random_codec
from realtime.checkpoints import cache_folder
from realtime.checkpoints.noise import Size, make_noise_checkpoint

BENCH_SIZE = Size(hidden=512, layers=8, heads=8, kv_heads=4, head_dim=64, intermediate=1408)
"""The size of the benchmarked model: head and feed-forward sizes are in about the released model's proportions."""
SMALL_SIZE = Size()
_HEAD = "audio_lm_head.weight"


def endless_checkpoint(name: str, size: Size) -> Path:
    """Return the folder of the checkpoint called `name`, which is made on first use."""
    folder = cache_folder() / f"bench-{name}-v1"
    if not folder.is_dir():
        with _made_whole(folder) as new:
            make_noise_checkpoint(new, size)
            config = json.loads((new / "config.json").read_text(encoding="utf-8"))
            weights = load_file(new / "model.safetensors")
            books, ids = config["num_codebooks"], config["codebook_size"]
            weights[_HEAD].view(books, ids, -1)[:, config["audio_stream_eos_id"]] = 0
            save_file(weights, new / "model.safetensors", metadata={"format": "pt"})
    return folder


def released_size_codec() -> Path:
    """Return the folder of a random codec whose decoder has the released dimensions; it is made on first use."""
    folder = cache_folder() / "bench-codec-v1"
    if not folder.is_dir():
        with _made_whole(folder) as new:
            random_codec(new, small=False)
    return folder


class _made_whole:
    """Gives a folder to fill, which gets its name only once it is full."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Path:
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        self._new = Path(tempfile.mkdtemp(dir=self._folder.parent))
        return self._new

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and not self._folder.exists():
            self._new.rename(self._folder)
        else:
            shutil.rmtree(self._new)

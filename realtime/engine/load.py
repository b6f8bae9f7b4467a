"""Putting an engine together from its configuration, telling on the way how far it is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch

from codec_stream.audio_file import read_reference
from codec_stream.codec_config import CodecConfig
from codec_stream.decoder import StreamingDecoder
from codec_stream.encoder import Encoder
from codec_stream.errors import CheckpointError as CodecCheckpointError
from codec_stream.pcm import to_pcm16
from codec_stream.weights import load_codec_weights
from realtime.checkpoints import built_in
from realtime.engine.attention import pick_attention
from realtime.engine.backbone import Backbone
from realtime.engine.checkpoint import Checkpoint, open_checkpoint
from realtime.engine.clips import Clips
from realtime.engine.contexts import Contexts
from realtime.engine.engine import Engine
from realtime.engine.errors import CheckpointError
from realtime.engine.kv_pages import PagePool
from realtime.engine.messages import EngineConfig, EngineInfo
from realtime.engine.prompt import Prompter
from realtime.engine.runner import Runner
from realtime.engine.scheduler import Policy, Scheduler
from realtime.engine.slots import SlotSampling

FrontEnds = Callable[[str], Callable[[str], str]]
"""Gives the text front end a manifest asks for by name."""


def load_engine(
    config: EngineConfig, front_ends: FrontEnds, progress: Callable[[str], None]
) -> tuple[Engine, EngineInfo]:
    """Load everything and warm it up. Raises CheckpointError with one sentence for a person."""
    threads = config.threads or max(1, (os.cpu_count() or 2) // 2)
    torch.set_num_threads(threads)
    device = _device(config.device)
    dtype = _dtype(config.dtype, device)
    model = config.model or str(built_in())
    progress(f"reading {model}")
    checkpoint = open_checkpoint(model, config.codec)
    progress("loading the language model")
    backbone = Backbone(checkpoint.config, checkpoint.weights(), device, dtype)
    progress("loading the codec")
    try:
        codec = CodecConfig.from_json(checkpoint.codec_folder / "config.json")
        codec_weights = load_codec_weights(checkpoint.codec_folder)
    except CodecCheckpointError as error:
        raise CheckpointError(str(error)) from error
    _check_codec(checkpoint, codec)
    decoder = StreamingDecoder(codec, codec_weights, device, _look_ahead(config))
    encoder = Encoder(codec, codec_weights, device)
    clips = Clips(encoder, checkpoint.config.stream_bos, checkpoint.config.stream_eos, config.max_reference_s)
    for voice in config.voices:
        progress(f"encoding voice {voice.name}")
        clips.register(voice.name, to_pcm16(read_reference(Path(voice.path), sample_rate=codec.sample_rate)))

    model_config = checkpoint.config
    attention, page_size = pick_attention(
        device, dtype, heads=model_config.heads, kv_heads=model_config.kv_heads, head_dim=model_config.head_dim
    )
    positions = config.kv_positions or 1024 * config.slots
    pool = PagePool(max(2, -(-positions // page_size) + 1), page_size)
    sampling = checkpoint.sampling
    runner = Runner(
        backbone,
        attention,
        slots=config.slots,
        pages=pool.num_pages,
        page_size=page_size,
        positions_per_slot=checkpoint.config.max_positions,
        ras_window=sampling.ras_window,
        ras_max_repeats=sampling.ras_max_repeats,
    )
    progress("warming up")
    runner.warm_up([1 << i for i in range(config.slots.bit_length())] if device.type == "cuda" else [1, config.slots])
    policy = Policy(
        slots=config.slots,
        step_streams=config.slots,
        prefill_positions=config.prefill_positions or (1024 if device.type == "cuda" else 128),
        max_lead_s=config.max_lead_s,
        frame_s=1.0 / codec.frame_rate,
        admit_by_rate=config.admit_by_rate,
    )
    front_end = config.front_end or checkpoint.manifest.front_end
    to_model = front_ends(front_end)
    to_model("Ready.")  # loads what it looks words up in
    max_frames = int(config.max_clause_s * codec.frame_rate)
    engine = Engine(
        runner,
        Prompter(checkpoint, to_model),
        decoder,
        clips,
        Scheduler(policy, pool),
        Contexts(
            max_contexts=4 * config.slots,
            max_utterances=checkpoint.manifest.context_clauses,
            max_rows=checkpoint.config.max_positions // 3,
        ),
        defaults=SlotSampling(
            greedy=sampling.greedy,
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
            ras=sampling.ras_window > 0 and sampling.ras_max_repeats > 0,
        ),
        max_frames=max_frames,
        frame_rate=codec.frame_rate,
    )
    info = EngineInfo(
        checkpoint=checkpoint.manifest.name,
        kind="noise" if checkpoint.manifest.kind == "noise" else "speech",
        device=_device_name(device),
        dtype=str(dtype).removeprefix("torch."),
        attention=attention.name,
        decoder=config.decoder,
        look_ahead_frames=decoder.look_ahead_frames if config.decoder == "exact" else decoder.partial_frames,
        sample_rate=codec.sample_rate,
        samples_per_frame=decoder.samples_per_frame,
        max_slots=config.slots,
        pages=pool.num_pages - 1,
        page_size=page_size,
        max_clause_chars=checkpoint.manifest.max_clause_chars,
        front_end=front_end,
        clip_voices=clips.voices,
        scene_voices={voice["name"]: voice["scene"] for voice in checkpoint.manifest.voices},
        default_voice=checkpoint.manifest.default_voice,
        threads=threads,
    )
    return engine, info


def _look_ahead(config: EngineConfig) -> int | None:
    if config.decoder not in ("exact", "low-latency"):
        raise CheckpointError(f"decoder is {config.decoder!r}; it is 'exact' or 'low-latency'.")
    return None if config.decoder == "exact" else config.look_ahead


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:  # its message lists dozens of kinds
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise CheckpointError(f"device is {name!r}; it is auto, cpu, cuda or cuda:N.")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise CheckpointError(f"device is {name!r}, but this PyTorch sees no CUDA device; use --device cpu.")
    if device.type == "cuda" and (device.index or 0) >= (seen := torch.cuda.device_count()):
        raise CheckpointError(f"device is {name!r}, but the CUDA devices here are cuda:0 to cuda:{seen - 1}.")
    return device


def _dtype(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if name not in known:
        raise CheckpointError(f"dtype is {name!r}; it is 'auto', 'float32' or 'bfloat16'.")
    return known[name]


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def _check_codec(checkpoint: Checkpoint, codec: CodecConfig) -> None:
    model = checkpoint.config
    if codec.num_quantizers != model.num_codebooks:
        raise CheckpointError(
            f"the codec has {codec.num_quantizers} quantizers and the model {model.num_codebooks} codebooks: "
            "they do not belong together; say where the right codec is with --codec."
        )
    if codec.codebook_size > min(model.stream_bos, model.stream_eos):
        raise CheckpointError(
            f"the codec's {codec.codebook_size} codes reach into the model's stream markers ({model.stream_bos}): "
            "they do not belong together; say where the right codec is with --codec."
        )

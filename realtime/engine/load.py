"""Puts an engine together from its configuration, and tells on the way how far it is."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import torch

from codec_stream.codec_config import CodecConfig
from codec_stream.decoder import StreamingDecoder
from codec_stream.encoder import Encoder
from codec_stream.errors import CheckpointError
from codec_stream.weights import load_codec_weights
from realtime.checkpoints import built_in
from realtime.engine.attention import pick_attention
from realtime.engine.clips import Clips
from realtime.engine.contexts import Contexts
from realtime.engine.engine import Engine
from realtime.engine.errors import EngineError, RequestError
from realtime.engine.kv_pages import PagePool
from realtime.engine.messages import EngineConfig, EngineInfo, VoiceClip
from realtime.engine.models.checkpoint import OpenedCheckpoint, SamplingDefaults
from realtime.engine.models.families import open_checkpoint
from realtime.engine.models.speech_model import SpeechModel
from realtime.engine.runner import Runner
from realtime.engine.sampling import Alphabet
from realtime.engine.scheduler import Policy, Scheduler
from realtime.engine.slots import SlotSampling

FrontEnds = Callable[[str], Callable[[str], str]]
"""Returns the text front end that a manifest asks for by name. Raises ValueError for one that does not exist."""


@dataclass(frozen=True)
class Codec:
    """Holds the codec of a checkpoint, both ways."""

    config: CodecConfig
    decoder: StreamingDecoder
    encoder: Encoder


def load_engine(
    config: EngineConfig, front_ends: FrontEnds, progress: Callable[[str], None]
) -> tuple[Engine, EngineInfo]:
    """Load everything and warm it up. `progress` is told each stage in words.

    Raises CheckpointError, EngineError or AudioError with one sentence for a person, and whatever the libraries beneath
    raise where memory or a device gives out.
    """
    torch.set_num_threads(config.threads or max(1, (os.cpu_count() or 2) // 2))
    device = _device(config.device)
    dtype = _dtype(config.dtype, device)
    look_ahead = _look_ahead(config)
    source = config.model or str(built_in())
    progress(f"reading {source}")
    checkpoint = open_checkpoint(source, config.codec)
    progress("loading the language model")
    model = checkpoint.load(device, dtype)
    progress("loading the codec")
    codec = load_codec(checkpoint, model.alphabet, device, look_ahead)
    clips = Clips(codec.encoder, model.alphabet.bos, model.alphabet.eos, config.max_reference_s)
    for voice in config.voices:
        progress(f"encoding voice {voice.name}")
        _check_transcript(voice, checkpoint.markers)
        _register(clips, voice)
    runner = load_runner(config, checkpoint.sampling, model)
    progress("warming up")
    slots = config.slots
    runner.warm_up([1 << i for i in range(slots.bit_length())] if device.type == "cuda" else [1, slots])
    front_end = config.front_end or checkpoint.manifest.front_end
    try:
        to_model = front_ends(front_end)
    except ValueError as error:
        raise CheckpointError(f"{checkpoint.folder / 'voiced.json'}: front_end: {error}") from error
    to_model("Ready.")  # loads what it looks words up in
    engine = Engine(
        runner,
        checkpoint.prompts(to_model),
        codec.decoder,
        clips,
        Scheduler(_policy(config, codec.config, device), PagePool(runner.pages, runner.page_size)),
        Contexts(
            max_contexts=4 * slots,
            max_utterances=checkpoint.manifest.context_clauses,
            max_rows=model.config.max_positions // 3,
        ),
        defaults=_defaults(checkpoint.sampling),
        max_frames=int(config.max_clause_s * codec.config.frame_rate),
        frame_rate=codec.config.frame_rate,
    )
    return engine, describe(config, checkpoint, codec, runner, clips, front_end)


def load_codec(checkpoint: OpenedCheckpoint, alphabet: Alphabet, device: torch.device, look_ahead: int | None) -> Codec:
    """Load the codec that belongs to a checkpoint whose model has this alphabet. `look_ahead` None: it decodes exactly.
    Raises CheckpointError."""
    config = CodecConfig.from_json(checkpoint.codec_folder / "config.json")
    weights = load_codec_weights(checkpoint.codec_folder)
    _check_codec(alphabet, config)
    return Codec(config, StreamingDecoder(config, weights, device, look_ahead), Encoder(config, weights, device))


def load_runner(config: EngineConfig, sampling: SamplingDefaults, model: SpeechModel) -> Runner:
    """Give a model its slots and pages; it is not warmed up yet."""
    sizes = model.config
    attention, page_size = pick_attention(
        model.device, model.dtype, heads=sizes.heads, kv_heads=sizes.kv_heads, head_dim=sizes.head_dim
    )
    positions = config.kv_positions or 1024 * config.slots
    return Runner(
        model,
        attention,
        slots=config.slots,
        pages=max(2, -(-positions // page_size) + 1),
        page_size=page_size,
        positions_per_slot=sizes.max_positions,
        ras_window=sampling.ras_window,
        ras_max_repeats=sampling.ras_max_repeats,
    )


def describe(
    config: EngineConfig, checkpoint: OpenedCheckpoint, codec: Codec, runner: Runner, clips: Clips, front_end: str
) -> EngineInfo:
    """Describe in full what runs."""
    decoder, manifest = codec.decoder, checkpoint.manifest
    return EngineInfo(
        checkpoint=manifest.name,
        kind="noise" if manifest.kind == "noise" else "speech",
        device=_device_name(runner.model.device),
        dtype=str(runner.model.dtype).removeprefix("torch."),
        attention=runner.attention.name,
        decoder=config.decoder,
        look_ahead_frames=decoder.look_ahead_frames if config.decoder == "exact" else decoder.partial_frames,
        sample_rate=codec.config.sample_rate,
        samples_per_frame=decoder.samples_per_frame,
        max_slots=config.slots,
        pages=runner.pages - 1,
        page_size=runner.page_size,
        max_clause_chars=manifest.max_clause_chars,
        max_scene_chars=manifest.max_scene_chars,
        front_end=front_end,
        clip_voices=clips.voices,
        scene_voices={voice["name"]: voice["scene"] for voice in manifest.voices},
        default_voice=manifest.default_voice,
        threads=torch.get_num_threads(),
        markers=checkpoint.markers,
    )


def _check_transcript(voice: VoiceClip, markers: list[str]) -> None:
    for marker in markers:
        if marker in voice.transcript:
            text = f"voice {voice.name!r}: its transcript holds {marker!r}, which the checkpoint reserves; remove it."
            raise EngineError(text)


def _register(clips: Clips, voice: VoiceClip) -> None:
    try:
        clips.register(voice.name, voice.pcm)
    except RequestError as error:
        raise EngineError(f"voice {voice.name!r}: {error}") from error


def _policy(config: EngineConfig, codec: CodecConfig, device: torch.device) -> Policy:
    return Policy(
        slots=config.slots,
        step_streams=config.slots,
        prefill_positions=config.prefill_positions or (1024 if device.type == "cuda" else 128),
        max_lead_s=config.max_lead_s,
        frame_s=1.0 / codec.frame_rate,
        admit_by_rate=config.admit_by_rate,
    )


def _defaults(sampling: SamplingDefaults) -> SlotSampling:
    return SlotSampling(
        greedy=sampling.greedy,
        temperature=sampling.temperature,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
        ras=sampling.ras_window > 0 and sampling.ras_max_repeats > 0,
    )


def _look_ahead(config: EngineConfig) -> int | None:
    if config.decoder not in ("exact", "low-latency"):
        raise CheckpointError(f"decoder is {config.decoder!r}; it is 'exact' or 'low-latency'.")
    return None if config.decoder == "exact" else config.look_ahead


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:  # torch's own message lists dozens of kinds of device, so we write our own below
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


def _check_codec(alphabet: Alphabet, codec: CodecConfig) -> None:
    if codec.num_quantizers != alphabet.num_codebooks:
        raise CheckpointError(
            f"the codec has {codec.num_quantizers} quantizers and the model {alphabet.num_codebooks} codebooks: "
            "they do not belong together; say where the right codec is with --codec."
        )
    if codec.codebook_size > min(alphabet.bos, alphabet.eos):
        raise CheckpointError(
            f"the codec's {codec.codebook_size} codes reach into the model's stream markers ({alphabet.bos}): "
            "they do not belong together; say where the right codec is with --codec."
        )

"""Reads every size of a Higgs Audio V2 codec checkpoint from its `config.json`, with nothing but the json module.

Defaults for absent keys are those of transformers 5.23 (`HiggsAudioV2TokenizerConfig`, its acoustic `DacConfig` and its
semantic `HubertConfig`), so that a config written by any release of the format means the same here as there.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codec_stream.errors import CheckpointError

# HiggsAudioV2TokenizerConfig's own fields.
_DEFAULTS: dict[str, Any] = {
    "sample_rate": 24000,
    "semantic_sample_rate": 16000,
    "downsample_factor": 320,
    "target_bandwidths": [0.5, 1, 1.5, 2, 4],
    "codebook_size": 1024,
    "codebook_dim": 64,
    "kernel_size": 3,
    "unit_kernel_size": 3,
    "strides": [1, 1],
    "channel_ratios": [1, 1],
    "block_dilations": [1, 1],
}
# HiggsAudioV2TokenizerConfig.sub_configs_defaults: merged in under the file's own keys.
_ACOUSTIC_DEFAULTS: dict[str, Any] = {
    "encoder_hidden_size": 64,
    "downsampling_ratios": [8, 5, 4, 2],
    "decoder_hidden_size": 1024,
    "upsampling_ratios": [8, 5, 4, 2],
    "hidden_size": 256,
}
# The same, and the one size of HubertConfig that the codec itself depends on.
_SEMANTIC_DEFAULTS: dict[str, Any] = {"mask_time_prob": 0.0, "hidden_size": 768}
# Codes travel as int16.
_MAX_CODEBOOK_SIZE = 32767


@dataclass(frozen=True)
class CodecConfig:
    """Holds the sizes of one codec checkpoint.

    Rates are in Hz; `hop_length` is in samples per frame at `sample_rate`; `*_hidden_size` and `*_dim` are channels.
    """

    sample_rate: int
    semantic_sample_rate: int
    hop_length: int
    frame_rate: int
    num_quantizers: int
    codebook_size: int
    codebook_dim: int
    # Acoustic branch (DAC).
    encoder_hidden_size: int
    downsampling_ratios: tuple[int, ...]
    decoder_hidden_size: int
    upsampling_ratios: tuple[int, ...]
    acoustic_hidden_size: int
    # Semantic branch (HuBERT and the small encoder on top of it).
    semantic_hidden_size: int
    strides: tuple[int, ...]
    channel_ratios: tuple[float, ...]
    block_dilations: tuple[int, ...]
    kernel_size: int
    unit_kernel_size: int
    downsample_factor: int
    semantic_downsample_factor: int
    semantic: Mapping[str, Any] = field(hash=False, repr=False)

    @property
    def hidden_size(self) -> int:
        """Return the channels of the concatenated branches, which is what the quantizer works on."""
        return self.acoustic_hidden_size + self.semantic_hidden_size

    @classmethod
    def from_json(cls, path: Path) -> "CodecConfig":
        """Read `path`, the `config.json` of a `HiggsAudioV2TokenizerModel`.

        Raises CheckpointError naming the file and the key when a value is missing, of the wrong kind or inconsistent.
        """
        path = Path(path)
        top = _Section(path, "", {**_DEFAULTS, **_read_object(path)})
        model_type = top.raw.get("model_type", "higgs_audio_v2_tokenizer")
        if model_type != "higgs_audio_v2_tokenizer":
            raise CheckpointError(f"{path}: model_type is {model_type!r}, expected 'higgs_audio_v2_tokenizer'")
        acoustic = top.section("acoustic_model_config", "dac", _ACOUSTIC_DEFAULTS)
        semantic = top.section("semantic_model_config", "hubert", _SEMANTIC_DEFAULTS)

        sample_rate = top.integer("sample_rate")
        semantic_sample_rate = top.integer("semantic_sample_rate")
        downsampling = acoustic.integers("downsampling_ratios")
        upsampling = acoustic.integers("upsampling_ratios")
        hop_length = math.prod(downsampling)
        if math.prod(upsampling) != hop_length:
            raise CheckpointError(
                f"{path}: acoustic_model_config.upsampling_ratios {list(upsampling)} give {math.prod(upsampling)} "
                f"samples per frame but downsampling_ratios {list(downsampling)} take {hop_length}; both must agree"
            )
        codebook_size = top.integer("codebook_size")
        if not 2 <= codebook_size <= _MAX_CODEBOOK_SIZE:
            raise CheckpointError(f"{path}: codebook_size is {codebook_size}, expected 2 to {_MAX_CODEBOOK_SIZE}")
        frame_rate = math.ceil(sample_rate / hop_length)
        bandwidths = top.numbers("target_bandwidths")
        # The arithmetic of HiggsAudioV2TokenizerConfig.num_quantizers, floats included.
        num_quantizers = int(1000 * bandwidths[-1] // (frame_rate * math.ceil(math.log2(codebook_size))))
        if num_quantizers < 1:
            raise CheckpointError(
                f"{path}: target_bandwidths ends at {bandwidths[-1]} kbit/s, too little for a single quantizer"
            )

        strides = top.integers("strides")
        channel_ratios = top.numbers("channel_ratios")
        if len(strides) != len(channel_ratios):
            raise CheckpointError(
                f"{path}: strides has {len(strides)} entries and channel_ratios {len(channel_ratios)}; both must agree"
            )
        downsample_factor = top.integer("downsample_factor")
        return cls(
            sample_rate=sample_rate,
            semantic_sample_rate=semantic_sample_rate,
            hop_length=hop_length,
            frame_rate=frame_rate,
            num_quantizers=num_quantizers,
            codebook_size=codebook_size,
            codebook_dim=top.integer("codebook_dim"),
            encoder_hidden_size=acoustic.integer("encoder_hidden_size"),
            downsampling_ratios=downsampling,
            decoder_hidden_size=acoustic.integer("decoder_hidden_size"),
            upsampling_ratios=upsampling,
            acoustic_hidden_size=acoustic.integer("hidden_size"),
            semantic_hidden_size=semantic.integer("hidden_size"),
            strides=strides,
            channel_ratios=channel_ratios,
            block_dilations=top.integers("block_dilations"),
            kernel_size=top.integer("kernel_size"),
            unit_kernel_size=top.integer("unit_kernel_size"),
            downsample_factor=downsample_factor,
            semantic_downsample_factor=int(hop_length / (sample_rate / semantic_sample_rate) / downsample_factor),
            semantic=semantic.raw,
        )


@dataclass(frozen=True)
class _Section:
    """Reads one JSON object of the file, checking each key's type. Raises CheckpointError naming the file and the
    key.
    """

    path: Path
    prefix: str
    raw: dict[str, Any]

    def section(self, key: str, model_type: str, defaults: dict[str, Any]) -> "_Section":
        raw = self.raw.get(key)
        if raw is None:
            raw = {}
        if not isinstance(raw, dict):
            raise self._wrong(key, raw, "an object")
        found = raw.get("model_type", model_type)
        if found != model_type:
            raise CheckpointError(f"{self.path}: {key}.model_type is {found!r}, only {model_type!r} is supported")
        return _Section(self.path, f"{key}.", {**defaults, **raw})

    def integer(self, key: str) -> int:
        value = self.raw[key]
        if not _is_positive_int(value):
            raise self._wrong(key, value, "a positive integer")
        return int(value)

    def integers(self, key: str) -> tuple[int, ...]:
        values = self.raw[key]
        if not isinstance(values, list | tuple) or not values or not all(map(_is_positive_int, values)):
            raise self._wrong(key, values, "a list of positive integers")
        return tuple(values)

    def numbers(self, key: str) -> tuple[float, ...]:
        values = self.raw[key]
        if not isinstance(values, list | tuple) or not values or not all(map(_is_positive_number, values)):
            raise self._wrong(key, values, "a list of positive numbers")
        return tuple(values)

    def _wrong(self, key: str, value: object, expected: str) -> CheckpointError:
        return CheckpointError(f"{self.path}: {self.prefix}{key} is {value!r}, expected {expected}")


def _read_object(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); expected the codec's config.json") from error
    except ValueError as error:
        raise CheckpointError(f"{path}: is not valid JSON ({error})") from error
    if not isinstance(raw, dict):
        raise CheckpointError(f"{path}: holds {type(raw).__name__}, expected a JSON object")
    return raw


def _is_positive_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_positive_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf

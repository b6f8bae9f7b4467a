"""Scope: random checkpoints have transformers' format and a sane level; config and weights mean the same as there."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from codec_stream.codec_config import CodecConfig
from codec_stream.errors import CheckpointError
from codec_stream.synthetic import random_codec
from codec_stream.weights import fold_weight_norm, load_codec_weights
from tests.oracle import transformers_codec

HOP = 960


def random_codes(frames: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 1024, (1, 8, frames)))


def decode(model: Any, codes: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        audio: torch.Tensor = model.decode(codes).audio_values[0, 0]
    return audio


# Random checkpoints.


@pytest.mark.parametrize(("seed", "causal"), [(0, False), (1, False), (2, True), (3, True)])
def test_transformers_loads_it_whole_and_it_decodes_at_a_sane_level(tmp_path: Path, seed: int, causal: bool) -> None:
    random_codec(tmp_path, seed=seed, causal=causal)
    model = transformers_codec(tmp_path)  # Asserts that no tensor is missing or unexpected.
    audio = decode(model, random_codes(50, seed))
    assert audio.shape == (50 * HOP,)
    assert 0.05 < audio.std() < 0.2
    assert audio.mean().abs() < 0.02
    # Other codes sound different: the output is not one fixed pattern.
    assert (audio - decode(model, random_codes(50, seed + 100))).std() > 0.02


def test_a_small_checkpoint_stays_under_4_mb(codec_folder: Path) -> None:
    assert sum(path.stat().st_size for path in codec_folder.iterdir()) < 4e6


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        random_codec(tmp_path / name, seed=seed)
    first, again, other = (load_file(tmp_path / name / "model.safetensors") for name in "abc")
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["fc2.weight"], other["fc2.weight"])


def test_the_global_random_generator_is_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    random_codec(tmp_path)
    assert torch.equal(torch.rand(3), expected)


def test_a_causal_codec_hears_one_frame_ahead_and_no_further(tmp_path: Path) -> None:
    random_codec(tmp_path, causal=True)
    model = transformers_codec(tmp_path)
    codes = random_codes(30)
    changed = codes.clone()
    changed[:, :, 20] = (changed[:, :, 20] + 1) % 1024
    difference = (decode(model, codes) - decode(model, changed)).abs()
    assert difference[: 19 * HOP].max() == 0
    assert difference[19 * HOP : 20 * HOP].max() > 1e-4


def test_a_codec_that_is_not_causal_hears_further(reference_codec: Any) -> None:
    codes = random_codes(30)
    changed = codes.clone()
    changed[:, :, 20] = (changed[:, :, 20] + 1) % 1024
    difference = (decode(reference_codec, codes) - decode(reference_codec, changed)).abs()
    assert difference[: 17 * HOP].max() > 0


def test_the_first_codebooks_carry_most_of_the_sound(reference_codec: Any) -> None:
    codes = random_codes(50)
    audio = decode(reference_codec, codes)

    def error_when_changed(codebook: int) -> float:
        changed = codes.clone()
        changed[:, codebook] = random_codes(50, seed=1)[:, codebook]
        return float((decode(reference_codec, changed) - audio).std())

    assert error_when_changed(0) > 3 * error_when_changed(7)


# Config.


def reference_config(raw: dict[str, Any]) -> Any:
    from transformers.models.higgs_audio_v2_tokenizer.configuration_higgs_audio_v2_tokenizer import (
        HiggsAudioV2TokenizerConfig,
    )

    return HiggsAudioV2TokenizerConfig(**raw)


SAME_NAMES = [
    "sample_rate",
    "semantic_sample_rate",
    "hop_length",
    "frame_rate",
    "num_quantizers",
    "codebook_size",
    "codebook_dim",
    "hidden_size",
    "semantic_hidden_size",
    "kernel_size",
    "unit_kernel_size",
    "downsample_factor",
    "semantic_downsample_factor",
]
RELEASED_RATIOS = {"downsampling_ratios": [8, 5, 4, 2, 3], "upsampling_ratios": [8, 5, 4, 2, 3]}


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"acoustic_model_config": RELEASED_RATIOS, "target_bandwidths": [0.5, 1, 1.5, 2]},
        {"acoustic_model_config": {"hidden_size": 64, "decoder_hidden_size": 96}, "semantic_model_config": {}},
        {"semantic_model_config": {"hidden_size": 24, "num_attention_heads": 2}, "codebook_dim": 24},
        {"codebook_size": 1000, "target_bandwidths": [1.3], "sample_rate": 16000, "semantic_sample_rate": 8000},
        {"acoustic_model_config": None, "semantic_model_config": None, "downsample_factor": 160},
        {"strides": [1, 2], "channel_ratios": [1, 2], "block_dilations": [1, 3], "kernel_size": 5},
    ],
)
def test_every_size_is_the_one_transformers_derives(tmp_path: Path, raw: dict[str, Any]) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(raw))
    ours, theirs = CodecConfig.from_json(path), reference_config(raw)
    for name in SAME_NAMES:
        assert getattr(ours, name) == getattr(theirs, name), name
    for name in ("strides", "channel_ratios", "block_dilations"):
        assert getattr(ours, name) == tuple(getattr(theirs, name)), name
    acoustic = theirs.acoustic_model_config
    assert ours.encoder_hidden_size == acoustic.encoder_hidden_size
    assert ours.decoder_hidden_size == acoustic.decoder_hidden_size
    assert ours.acoustic_hidden_size == acoustic.hidden_size
    assert ours.downsampling_ratios == tuple(acoustic.downsampling_ratios)
    assert ours.upsampling_ratios == tuple(acoustic.upsampling_ratios)


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        ({"sample_rate": "24k"}, "sample_rate is '24k', expected a positive integer"),
        ({"sample_rate": True}, "sample_rate is True, expected a positive integer"),
        ({"codebook_dim": None}, "codebook_dim is None, expected a positive integer"),
        ({"codebook_size": 0}, "codebook_size is 0, expected a positive integer"),
        ({"codebook_size": 40000}, "codebook_size is 40000, expected 2 to 32767"),
        ({"target_bandwidths": []}, r"target_bandwidths is \[\], expected a list of positive numbers"),
        ({"target_bandwidths": [0.1]}, "too little for a single quantizer"),
        ({"strides": [1], "channel_ratios": [1, 1]}, "strides has 1 entries and channel_ratios 2"),
        ({"acoustic_model_config": []}, r"acoustic_model_config is \[\], expected an object"),
        ({"acoustic_model_config": {"hidden_size": -1}}, r"acoustic_model_config\.hidden_size is -1"),
        ({"acoustic_model_config": {"downsampling_ratios": [8, 5]}}, "both must agree"),
        ({"acoustic_model_config": {"model_type": "encodec"}}, "only 'dac' is supported"),
        ({"model_type": "dac"}, "model_type is 'dac'"),
        ([], "holds list, expected a JSON object"),
    ],
)
def test_a_wrong_config_is_refused_naming_file_and_key(tmp_path: Path, raw: object, complaint: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(raw))
    with pytest.raises(CheckpointError, match=complaint) as caught:
        CodecConfig.from_json(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_config_that_is_missing_or_not_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        CodecConfig.from_json(tmp_path / "config.json")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="not valid JSON"):
        CodecConfig.from_json(tmp_path / "config.json")


# Weights.


def test_weights_equal_those_of_the_model_with_weight_norm_folded(codec_folder: Path, reference_codec: Any) -> None:
    weights = load_codec_weights(codec_folder)
    positions = reference_codec.semantic_model.encoder.pos_conv_embed.conv.weight
    torch.testing.assert_close(weights["semantic_model.encoder.pos_conv_embed.conv.weight"], positions.detach())
    expected = {name: tensor for name, tensor in reference_codec.state_dict().items() if "parametrizations" not in name}
    assert weights.keys() - expected.keys() == {"semantic_model.encoder.pos_conv_embed.conv.weight"}
    assert all(torch.equal(weights[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize("shape", [(8, 4, 7), (1, 4, 7), (4, 1, 1)])
@pytest.mark.parametrize("dim", [0, 1, 2])
def test_both_forms_of_weight_norm_fold_to_the_layer_s_weight(shape: tuple[int, int, int], dim: int) -> None:
    layer = torch.nn.Conv1d(shape[1], shape[0], shape[2])
    torch.nn.utils.parametrizations.weight_norm(layer, dim=dim)
    layer.state_dict()["parametrizations.weight.original0"].mul_(1.7)
    stored = {f"block.{name}": tensor for name, tensor in layer.state_dict().items()}
    magnitude = stored["block.parametrizations.weight.original0"]
    direction = stored["block.parametrizations.weight.original1"]
    old_form = {"block.weight_g": magnitude, "block.weight_v": direction, "block.bias": stored["block.bias"]}
    for form in (stored, old_form):
        folded = fold_weight_norm(form)
        assert folded.keys() == {"block.weight", "block.bias"}
        torch.testing.assert_close(folded["block.weight"], layer.weight.detach())


def test_half_a_weight_norm_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"hold conv\.weight_g but not conv\.weight_v"):
        fold_weight_norm({"conv.weight_g": torch.ones(1, 1, 1)})


def test_shards_are_read_like_one_file_and_half_precision_becomes_float32(codec_folder: Path, tmp_path: Path) -> None:
    tensors = load_file(codec_folder / "model.safetensors")
    names = sorted(tensors)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for shard, members in shards.items():
        save_file({name: tensors[name].bfloat16() for name in members}, tmp_path / shard)
    weight_map = {name: shard for shard, members in shards.items() for name in members}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    loaded, whole = load_codec_weights(tmp_path), load_codec_weights(codec_folder)
    assert loaded.keys() == whole.keys()
    assert all(tensor.dtype == torch.float32 for tensor in loaded.values())
    torch.testing.assert_close(loaded["fc2.weight"], whole["fc2.weight"], rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("name", ["../outside.safetensors", "model.bin", 3])
def test_an_index_that_names_other_files_is_refused(tmp_path: Path, name: object) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"fc.weight": name}}))
    with pytest.raises(CheckpointError, match=r"expected \.safetensors files beside it"):
        load_codec_weights(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", '{"weight_map": []}', "{}"])
def test_an_index_without_a_weight_map_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(content)
    with pytest.raises(CheckpointError, match="has no readable weight_map"):
        load_codec_weights(tmp_path)


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"anything")
    with pytest.raises(CheckpointError, match=r"holds pickled weights \(pytorch_model\.bin\)"):
        load_codec_weights(tmp_path)


def test_missing_and_damaged_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds neither"):
        load_codec_weights(tmp_path)
    with pytest.raises(CheckpointError, match="is not a folder"):
        load_codec_weights(tmp_path / "absent")
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="is not a readable safetensors file"):
        load_codec_weights(tmp_path)

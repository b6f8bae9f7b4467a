"""Scope: what a `config.json` means here is what it means to transformers, defaults and older spellings included."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import HiggsAudioV2Config
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from codec_stream.errors import CheckpointError
from realtime.engine.models.higgs_v2.model_config import model_config
from realtime.engine.models.higgs_v2.rope import rope_of

FILE = Path("config.json")
CODES = {"codebook_size": 1026}


@pytest.mark.parametrize(
    "changes", [{}, {"head_dim": None}, {"head_dim": 64, "num_hidden_layers": 2, "vocab_size": 99}]
)
def test_sizes_and_ids_that_a_config_does_not_give_are_transformers_own(changes: dict[str, Any]) -> None:
    ours, theirs = model_config({**CODES, **changes}, FILE), HiggsAudioV2Config(**CODES, **changes)
    assert (ours.vocab_size, ours.hidden_size, ours.intermediate_size, ours.layers, ours.heads, ours.kv_heads) == (
        theirs.vocab_size,
        theirs.hidden_size,
        theirs.intermediate_size,
        theirs.num_hidden_layers,
        theirs.num_attention_heads,
        theirs.num_key_value_heads,
    )
    assert (ours.head_dim, ours.max_positions, ours.norm_eps, ours.num_codebooks, ours.codebook_size) == (
        theirs.head_dim,
        theirs.max_position_embeddings,
        theirs.rms_norm_eps,
        theirs.num_codebooks,
        theirs.codebook_size,
    )
    assert (ours.audio_token_id, ours.audio_bos_token_id, ours.audio_delay_token_id) == (
        theirs.audio_token_id,
        theirs.audio_bos_token_id,
        theirs.audio_delay_token_id,
    )
    assert (ours.stream_bos, ours.stream_eos) == (theirs.audio_stream_bos_id, theirs.audio_stream_eos_id)


LLAMA3 = {"factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 512}


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"rope_parameters": {"rope_type": "llama3", "rope_theta": 500000.0, **LLAMA3}},
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}},
        {"rope_parameters": {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0}},
        {"rope_scaling": {"rope_type": "llama3", **LLAMA3}, "rope_theta": 500000.0},
        {"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_theta": 10000.0},
    ],
)
def test_rotary_frequencies_are_transformers_own(raw: dict[str, Any]) -> None:
    config = HiggsAudioV2Config(**raw)
    kind = config.rope_parameters["rope_type"]
    frequencies, scale = ROPE_INIT_FUNCTIONS[kind](config, torch.device("cpu"))
    ours = rope_of(raw, 128, FILE)
    assert torch.equal(ours.inverse_frequencies, frequencies)
    assert ours.scale == scale


def test_plain_frequencies_are_those_of_the_first_paper() -> None:
    raw = {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}
    assert torch.allclose(rope_of(raw, 8, FILE).inverse_frequencies, torch.tensor([1.0, 0.1, 0.01, 0.001]))


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ({"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 0}}, "rope_parameters.factor is 0"),
        ({"rope_parameters": {"rope_theta": "big"}}, "rope_parameters.rope_theta is 'big'"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 1.0, **LLAMA3, "high_freq_factor": 1.0}}, "above"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}}, "rope_parameters cannot be used"),
    ],
)
def test_frequencies_that_cannot_be_made_are_refused_naming_the_key(raw: dict[str, Any], told: str) -> None:
    with pytest.raises(CheckpointError, match=told):
        rope_of(raw, 128, FILE)

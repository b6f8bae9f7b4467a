"""Scope: HuBERT, written out, is transformers' own, in all the forms that its config has."""

from typing import Any

import pytest
import torch
from transformers.models.hubert.configuration_hubert import HubertConfig
from transformers.models.hubert.modeling_hubert import HubertModel

from codec_stream.errors import CheckpointError
from codec_stream.hubert import Hubert

SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "conv_dim": [16, 16],
    "conv_kernel": [10, 3],
    "conv_stride": [5, 2],
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "mask_time_prob": 0.0,
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True},
        {"feat_proj_layer_norm": False, "num_conv_pos_embeddings": 15, "hidden_act": "relu"},
    ],
    ids=["base", "large", "odd"],
)
def test_every_layer_is_transformers_own(changes: dict[str, Any]) -> None:
    torch.manual_seed(1)
    config = {**SMALL, **changes}
    theirs = HubertModel(HubertConfig(**config)).eval()
    torch.nn.utils.parametrize.remove_parametrizations(theirs.encoder.pos_conv_embed.conv, "weight")
    ours = Hubert(config).eval()
    ours.load_state_dict(theirs.state_dict())
    audio = torch.randn(1, 4000)
    with torch.inference_mode():
        expected = theirs(audio, output_hidden_states=True).hidden_states
        got = ours(audio)
    assert len(got) == len(expected)
    for layer, other in zip(got, expected, strict=True):
        assert torch.allclose(layer, other, atol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"feat_extract_norm": "none"},
        {"hidden_act": "gelu_new"},
        {"conv_pos_batch_norm": True},
        {"num_attention_heads": 5},
    ],
)
def test_what_it_does_not_know_is_refused_by_name(changes: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match=r"HuBERT"):
        Hubert({**SMALL, **changes})

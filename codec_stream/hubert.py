"""HuBERT (Hsu et al., 2021), which hears what is said in a clip, named as in the checkpoint (`semantic_model`).

Equal to transformers' `HubertModel` where nothing is trained: no dropout, no masks. It is written out here because
importing that one costs an engine seconds of its start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from codec_stream.errors import CheckpointError

_DEFAULTS: dict[str, Any] = {
    "conv_bias": False,
    "conv_dim": [512] * 7,
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_pos_batch_norm": False,
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "do_stable_layer_norm": False,
    "feat_extract_activation": "gelu",
    "feat_extract_norm": "group",
    "feat_proj_layer_norm": True,
    "hidden_act": "gelu",
    "hidden_size": 768,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-5,
    "num_attention_heads": 12,
    "num_conv_pos_embedding_groups": 16,
    "num_conv_pos_embeddings": 128,
    "num_hidden_layers": 12,
}
"""Those of transformers' `HubertConfig`."""

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu": F.gelu, "relu": F.relu}


class Hubert(nn.Module):
    """Hears audio in features. `config` is a `HubertConfig` as JSON. Raises CheckpointError for what it cannot be."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        config = {**_DEFAULTS, **config}
        self.feature_extractor = _Extractor(config)
        self.feature_projection = _Projection(config)
        self.encoder = _Encoder(config)

    def forward(self, audio: Tensor) -> list[Tensor]:
        """Hear audio [B, samples] at 16 kHz -> what goes into the first layer and what comes out of each, [B, features,
        hidden_size]."""
        features = self.feature_extractor(audio[:, None]).transpose(1, 2)
        layers: list[Tensor] = self.encoder(self.feature_projection(features))
        return layers


class _Extractor(nn.Module):
    """Strided convolutions over the waveform."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        norm = config["feat_extract_norm"]
        if norm not in ("group", "layer"):
            raise CheckpointError(f"the codec's HuBERT has feat_extract_norm {norm!r}; it is 'group' or 'layer'.")
        sizes = [1, *config["conv_dim"]]
        shapes = zip(sizes, sizes[1:], config["conv_kernel"], config["conv_stride"], strict=False)
        self.conv_layers = nn.ModuleList(
            _Convolution(config, *shape, norm=norm if norm == "layer" or index == 0 else "")
            for index, shape in enumerate(shapes)
        )

    def forward(self, hidden: Tensor) -> Tensor:
        for layer in self.conv_layers:
            hidden = layer(hidden)
        return hidden


class _Convolution(nn.Module):
    def __init__(
        self, config: Mapping[str, Any], channels: int, out_channels: int, kernel: int, stride: int, *, norm: str
    ) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, out_channels, kernel, stride=stride, bias=config["conv_bias"])
        self.activation = _activation(config, "feat_extract_activation")
        self._over_channels = norm == "layer"
        if norm == "layer":
            self.layer_norm: nn.Module | None = nn.LayerNorm(out_channels)
        elif norm == "group":
            self.layer_norm = nn.GroupNorm(out_channels, out_channels)
        else:
            self.layer_norm = None

    def forward(self, hidden: Tensor) -> Tensor:
        hidden = self.conv(hidden)
        if self.layer_norm is not None:
            hidden = self.layer_norm(hidden.mT).mT if self._over_channels else self.layer_norm(hidden)
        return self.activation(hidden)


class _Projection(nn.Module):
    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        channels = config["conv_dim"][-1]
        normed = config["feat_proj_layer_norm"]
        self.layer_norm = nn.LayerNorm(channels, eps=config["layer_norm_eps"]) if normed else None
        self.projection = nn.Linear(channels, config["hidden_size"])

    def forward(self, features: Tensor) -> Tensor:
        projected: Tensor = self.projection(features if self.layer_norm is None else self.layer_norm(features))
        return projected


class _Encoder(nn.Module):
    """The transformer. With `do_stable_layer_norm` each part norms what goes into it, otherwise what comes out."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.pos_conv_embed = _Positions(config)
        self.layer_norm = nn.LayerNorm(config["hidden_size"], eps=config["layer_norm_eps"])
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config["num_hidden_layers"]))
        self._norms_first = config["do_stable_layer_norm"]

    def forward(self, hidden: Tensor) -> list[Tensor]:
        hidden = hidden + self.pos_conv_embed(hidden)
        if not self._norms_first:
            hidden = self.layer_norm(hidden)
        states = [hidden]
        for layer in self.layers:
            states.append(layer(states[-1]))
        return states


class _Positions(nn.Module):
    """Tells where a feature stands by a wide convolution over its neighbours."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        if config["conv_pos_batch_norm"]:
            raise CheckpointError("the codec's HuBERT has conv_pos_batch_norm, which is not supported.")
        size, width = config["hidden_size"], config["num_conv_pos_embeddings"]
        groups = config["num_conv_pos_embedding_groups"]
        self.conv = nn.Conv1d(size, size, width, padding=width // 2, groups=groups)
        self.activation = _activation(config, "feat_extract_activation")
        self._too_many = 1 - width % 2

    def forward(self, hidden: Tensor) -> Tensor:
        positions = self.conv(hidden.mT)
        return self.activation(positions[..., : positions.shape[-1] - self._too_many]).mT


class _Layer(nn.Module):
    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        size, eps = config["hidden_size"], config["layer_norm_eps"]
        self.attention = _Attention(size, config["num_attention_heads"])
        self.layer_norm = nn.LayerNorm(size, eps=eps)
        self.feed_forward = _FeedForward(config)
        self.final_layer_norm = nn.LayerNorm(size, eps=eps)
        self._norms_first = config["do_stable_layer_norm"]

    def forward(self, hidden: Tensor) -> Tensor:
        if self._norms_first:
            hidden = hidden + self.attention(self.layer_norm(hidden))
            after: Tensor = hidden + self.feed_forward(self.final_layer_norm(hidden))
            return after
        hidden = self.layer_norm(hidden + self.attention(hidden))
        normed: Tensor = self.final_layer_norm(hidden + self.feed_forward(hidden))
        return normed


class _Attention(nn.Module):
    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        if size % heads:
            raise CheckpointError(f"the codec's HuBERT has hidden_size {size}, no multiple of its {heads} heads.")
        self._heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(size, size) for _ in range(4))

    def forward(self, hidden: Tensor) -> Tensor:
        batch, count, size = hidden.shape
        q, k, v = (
            project(hidden).view(batch, count, self._heads, -1).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, count, size)
        mixed: Tensor = self.out_proj(attended)
        return mixed


class _FeedForward(nn.Module):
    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.intermediate_dense = nn.Linear(config["hidden_size"], config["intermediate_size"])
        self.output_dense = nn.Linear(config["intermediate_size"], config["hidden_size"])
        self.activation = _activation(config, "hidden_act")

    def forward(self, hidden: Tensor) -> Tensor:
        changed: Tensor = self.output_dense(self.activation(self.intermediate_dense(hidden)))
        return changed


def _activation(config: Mapping[str, Any], key: str) -> Callable[[Tensor], Tensor]:
    name = config[key]
    if name not in _ACTIVATIONS:
        raise CheckpointError(f"the codec's HuBERT has {key} {name!r}; {' and '.join(_ACTIVATIONS)} are supported.")
    return _ACTIVATIONS[name]

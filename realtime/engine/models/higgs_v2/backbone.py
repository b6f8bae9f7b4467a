"""Runs the Higgs Audio V2 decoder over packed positions: fused weights, two feed-forwards, paged attention.

Everything specific to this backbone is in this file. Attention and its weights are shared by all positions; layer norms
and MLPs exist twice, for text and for audio positions (DualFFN). Source: transformers `models/higgs_audio_v2`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from codec_stream.errors import CheckpointError
from realtime.engine.linear import Linear
from realtime.engine.models.higgs_v2.model_config import ModelConfig
from realtime.engine.models.speech_model import Attend, Kinds
from realtime.engine.sampling import Alphabet


@dataclass(frozen=True)
class FeedForward:
    """Holds one of the two feed-forwards of a layer, with the norms before attention and before itself."""

    attention_norm: Tensor  # [H]
    norm: Tensor  # [H]
    gate_up: Linear  # H -> 2I
    down: Linear  # I -> H


@dataclass(frozen=True)
class Layer:
    """Holds the weights of one decoder layer."""

    qkv: Linear  # H -> (heads + 2 kv_heads) D
    out: Linear  # heads D -> H
    text: FeedForward
    audio: FeedForward


class Backbone:
    """Holds the weights on one device, and runs the forward pass over them. It keeps no state of any request."""

    def __init__(
        self, config: ModelConfig, weights: dict[str, Tensor], device: torch.device, dtype: torch.dtype
    ) -> None:
        self.config = config
        self.device = device
        self.dtype = dtype
        take = _Taker(weights, device, dtype)
        size, codebook = (config.hidden_size,), config.codebook_size
        self.embed_text = take("model.embed_tokens.weight", (config.vocab_size, *size))
        self.embed_audio = take(
            "model.embed_audio_tokens.embed_audio_tokens.weight", (config.num_codebooks * codebook, *size)
        )
        self.layers = [_layer(take, config, f"model.layers.{i}.") for i in range(config.layers)]
        self.norm = take("model.norm.weight", size)
        self.head = take.linear(["audio_lm_head.weight"], (config.num_codebooks * codebook, config.hidden_size))
        self._offsets = torch.arange(config.num_codebooks, device=device) * codebook
        self._cos, self._sin = _rotary_table(config, device, dtype)
        self.alphabet = Alphabet(config.num_codebooks, codebook, config.stream_bos, config.stream_eos)

    def embed_rows(self, rows: Tensor) -> Tensor:
        """Embed rows of audio: ids [N, K] -> [N, H], the sum of one embedding per codebook."""
        return F.embedding(rows + self._offsets, self.embed_audio).sum(-2)

    def embed(self, tokens: Tensor, kinds: Kinds) -> Tensor:
        """Embed prompt positions: tokens [N, K] (a text id sits in column 0) -> [N, H]."""
        x = torch.empty(tokens.shape[0], self.config.hidden_size, dtype=self.dtype, device=self.device)
        x[kinds.text] = F.embedding(tokens[kinds.text, 0], self.embed_text)
        x[kinds.audio] = self.embed_rows(tokens[kinds.audio])
        return x

    def forward(self, x: Tensor, positions: Tensor, kinds: Kinds | None, attend: Attend) -> Tensor:
        """Pass hidden states [N, H] through all layers; `kinds` None means that every position is audio.

        `positions` [N] are the places in the sequence.
        """
        cfg = self.config
        cos, sin = self._cos[positions][:, None], self._sin[positions][:, None]  # [N, 1, D]
        rotated = cfg.heads + cfg.kv_heads
        for index, layer in enumerate(self.layers):
            h = self._by_kind(x, kinds, layer, _norm_before_attention, cfg.norm_eps)
            qkv = layer.qkv(h).view(-1, rotated + cfg.kv_heads, cfg.head_dim)
            qk = _rotate(qkv[:, :rotated], cos, sin)
            mixed = attend(index, qk[:, : cfg.heads], qk[:, cfg.heads :], qkv[:, rotated:])
            x = x + layer.out(mixed.reshape(x.shape[0], -1))
            x = x + self._by_kind(x, kinds, layer, _feed_forward, cfg.norm_eps)
        return x

    def logits(self, x: Tensor) -> Tensor:
        """Score the ids of the next row: [N, H] -> float32 [N, K, V]."""
        x = F.rms_norm(x, (self.config.hidden_size,), self.norm, self.config.norm_eps)
        return self.head(x).float().view(-1, self.config.num_codebooks, self.config.codebook_size)

    @staticmethod
    def _by_kind(
        x: Tensor, kinds: Kinds | None, layer: Layer, apply: Callable[[Tensor, FeedForward, float], Tensor], eps: float
    ) -> Tensor:
        if kinds is None:
            return apply(x, layer.audio, eps)
        out = torch.empty_like(x)
        if kinds.text.numel():
            out[kinds.text] = apply(x[kinds.text], layer.text, eps)
        if kinds.audio.numel():
            out[kinds.audio] = apply(x[kinds.audio], layer.audio, eps)
        return out


def _norm_before_attention(x: Tensor, ffn: FeedForward, eps: float) -> Tensor:
    return F.rms_norm(x, (x.shape[-1],), ffn.attention_norm, eps)


def _feed_forward(x: Tensor, ffn: FeedForward, eps: float) -> Tensor:
    x = F.rms_norm(x, (x.shape[-1],), ffn.norm, eps)
    gate, up = ffn.gate_up(x).chunk(2, -1)
    return ffn.down(F.silu(gate).mul_(up))


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Apply the rotary embedding; the minus sign of the rotated half is already in `sin`."""
    return x * cos + x.roll(x.shape[-1] // 2, -1) * sin


def _rotary_table(config: ModelConfig, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Compute cos and sin for all positions, each [max_positions, D]. The first half of sin is negated for
    `_rotate`.
    """
    angles = torch.arange(config.max_positions).float()[:, None] * config.rope.inverse_frequencies.float()
    cos = torch.cat((angles.cos(), angles.cos()), -1) * config.rope.scale
    sin = torch.cat((-angles.sin(), angles.sin()), -1) * config.rope.scale
    return cos.to(device, dtype), sin.to(device, dtype)


class _Taker:
    """Moves named tensors to the device once their shape is what the config says."""

    def __init__(self, weights: dict[str, Tensor], device: torch.device, dtype: torch.dtype) -> None:
        self._weights = weights
        self._device = device
        self._dtype = dtype

    def __call__(self, name: str, shape: tuple[int, ...]) -> Tensor:
        return self.fused([name], shape)

    def linear(self, names: list[str], shape: tuple[int, int]) -> Linear:
        """Make a layer [out, in] of weights stacked along their output dimension.

        Every layer is made here, so that another form of weight (quantised, with scales beside it) is one more kind of
        `Linear`.
        """
        return Linear(self.fused(names, shape))

    def fused(self, names: list[str], shape: tuple[int, ...]) -> Tensor:
        """Stack several weights along their output dimension. Raises CheckpointError for one that is missing or has
        another shape.
        """
        parts = []
        for name in names:
            tensor = self._weights.get(name)
            if tensor is None:
                raise CheckpointError(f"the checkpoint's weights lack {name!r}.")
            parts.append(tensor)
        whole = parts[0] if len(parts) == 1 else torch.cat(parts)
        if tuple(whole.shape) != shape:
            raise CheckpointError(f"{names[0]!r} has shape {tuple(whole.shape)}; config.json asks for {shape}.")
        return whole.to(self._device, self._dtype).contiguous()


def _layer(take: _Taker, config: ModelConfig, prefix: str) -> Layer:
    hidden = config.hidden_size
    q, kv = config.heads * config.head_dim, config.kv_heads * config.head_dim
    attention = prefix + "self_attn."
    return Layer(
        qkv=take.linear([attention + f"{name}_proj.weight" for name in "qkv"], (q + 2 * kv, hidden)),
        out=take.linear([attention + "o_proj.weight"], (hidden, q)),
        text=_feed_forward_weights(take, config, prefix, ""),
        audio=_feed_forward_weights(take, config, prefix, "audio_"),
    )


def _feed_forward_weights(take: _Taker, config: ModelConfig, prefix: str, kind: str) -> FeedForward:
    hidden, inner = config.hidden_size, config.intermediate_size
    mlp = f"{prefix}{kind}mlp."
    return FeedForward(
        attention_norm=take(f"{prefix}{kind}input_layernorm.weight", (hidden,)),
        norm=take(f"{prefix}{kind}post_attention_layernorm.weight", (hidden,)),
        gate_up=take.linear([f"{mlp}gate_proj.weight", f"{mlp}up_proj.weight"], (2 * inner, hidden)),
        down=take.linear([f"{mlp}down_proj.weight"], (hidden, inner)),
    )

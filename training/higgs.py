"""Runs one training pass of any Higgs Audio V2 checkpoint, faster than the stock forward on batches of unequal lengths.

The weights are those of the stock `HiggsAudioV2ForConditionalGeneration`; only the order of work differs. Text and
audio positions live in two packed tensors, so each runs only its own feed-forward and padding costs nothing outside
attention. The loss is the stock one: the sum over codebooks of the mean cross-entropy, with optional weights;
`tests/training` holds the two equal.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import HiggsAudioV2ForConditionalGeneration

IGNORE = -100


@dataclass
class Batch:
    """Holds B sequences, right-padded to L positions in attention only."""

    text_ids: Tensor  # [Nt]
    rows: Tensor  # [Na, codebooks]
    order: Tensor  # [B, L] index into the packed text-then-audio positions; a padding position points at 0
    positions: Tensor  # [Nt + Na] where each packed position lies in the flat [B x L]
    labels: Tensor  # [Na, codebooks] the row that follows, IGNORE where there is none
    text_labels: Tensor  # [Nt + Na] the text token that follows, IGNORE where there is none
    guide_rows: Tensor  # [G] packed audio positions whose source in the text is known
    guide_keys: Tensor  # [G, window] the positions (in their own sequence) they should look at

    def to(self, device: str) -> Batch:
        return Batch(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


@dataclass
class Losses:
    """Holds the parts of the loss of one batch."""

    codebooks: Tensor  # [codebooks] mean cross-entropy each
    guide: Tensor  # mean negative log of the attention that fell where it should
    onset: Tensor  # mean cross-entropy of the last codebook's first code in a turn
    text: Tensor | None


def _rope(model: HiggsAudioV2ForConditionalGeneration, length: int, x: Tensor) -> tuple[Tensor, Tensor]:
    cos, sin = model.model.rotary_emb(x, torch.arange(length, device=x.device)[None])
    return cos[0], sin[0]


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Apply the rotary embedding to x [B, heads, L, head_dim]."""
    half = x.shape[-1] // 2
    turned = torch.cat((-x[..., half:], x[..., :half]), dim=-1)
    return (x * cos + turned * sin).to(x.dtype)


def losses(
    model: HiggsAudioV2ForConditionalGeneration,
    batch: Batch,
    guided_layers: tuple[int, ...] = (),
    guided_heads: int = 0,
) -> Losses:
    config, inner = model.config, model.model
    size, length = batch.order.shape
    texts = len(batch.text_ids)
    x = torch.cat([inner.embed_tokens(batch.text_ids), inner.embed_audio_tokens(batch.rows)])  # [Nt + Na, hidden]
    cos, sin = _rope(model, length, x)
    guide = x.new_zeros(())
    for number, layer in enumerate(inner.layers):
        attention = layer.self_attn
        normed = torch.cat([layer.input_layernorm(x[:texts]), layer.audio_input_layernorm(x[texts:])])
        query, key, value = (
            projection(normed)[batch.order.reshape(-1)].view(size, length, -1, attention.head_dim).transpose(1, 2)
            for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        query, key = _rotate(query, cos, sin).to(value.dtype), _rotate(key, cos, sin).to(value.dtype)
        if number in guided_layers and len(batch.guide_rows):
            guide = guide + _guidance(query, key, batch, texts, guided_heads, attention.num_key_value_groups)
        mixed = _attend(query, key, value, attention.num_key_value_groups)
        mixed = mixed.transpose(1, 2).reshape(size * length, -1)[batch.positions]
        x = x + attention.o_proj(mixed)
        text, audio = x[:texts], x[texts:]
        text = text + layer.mlp(layer.post_attention_layernorm(text))
        audio = audio + layer.audio_mlp(layer.audio_post_attention_layernorm(audio))
        x = torch.cat([text, audio])
    x = inner.norm(x)
    logits = model.audio_lm_head(x[texts:]).view(-1, config.num_codebooks, config.codebook_size)
    each = F.cross_entropy(
        logits.float().flatten(0, 1), batch.labels.flatten(), ignore_index=IGNORE, reduction="none"
    ).view_as(batch.labels)
    codebooks = each.sum(0) / (batch.labels != IGNORE).sum(0).clamp_min(1)
    first = (batch.rows[:, -1] == config.audio_stream_bos_id) & (batch.labels[:, -1] != IGNORE)
    onset = (each[:, -1] * first).sum() / first.sum().clamp_min(1)
    spelled = None
    if model.text_lm_head is not None and bool((batch.text_labels != IGNORE).any()):
        spelled = F.cross_entropy(model.text_lm_head(x).float(), batch.text_labels, ignore_index=IGNORE)
    return Losses(codebooks, guide / max(1, len(guided_layers)), onset, spelled)


def _attend(query: Tensor, key: Tensor, value: Tensor, grouped: int) -> Tensor:
    """Attend causally; query, key and value are [B, heads, L, head_dim].

    On CPU the plain products beat the fused kernel's backward at these lengths.
    """
    key, value = key.repeat_interleave(grouped, 1), value.repeat_interleave(grouped, 1)
    if query.is_cuda:
        return F.scaled_dot_product_attention(query, key, value, is_causal=True)
    length = query.shape[2]
    future = torch.ones(length, length, dtype=torch.bool).triu(1)
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(2, 3)
    mixed: Tensor = scores.masked_fill(future, float("-inf")).softmax(3).to(value.dtype) @ value
    return mixed


def _guidance(query: Tensor, key: Tensor, batch: Batch, texts: int, heads: int, grouped: int) -> Tensor:
    """Return how far the first `heads` heads are from looking at the phone that sounds."""
    length = query.shape[2]
    flat = batch.positions[texts + batch.guide_rows]
    sequence, position = flat // length, flat % length
    scores = query[:, :heads] @ key.repeat_interleave(grouped, 1)[:, :heads].transpose(2, 3)
    chosen = scores[sequence, :, position].float() * query.shape[-1] ** -0.5  # [G, heads, L]
    future = torch.arange(length, device=query.device) > position[:, None]
    chosen = chosen.masked_fill(future[:, None], float("-inf"))
    wanted = chosen.gather(2, batch.guide_keys[:, None].expand(-1, heads, -1))
    missed: Tensor = chosen.logsumexp(2) - wanted.logsumexp(2)
    return missed.mean()

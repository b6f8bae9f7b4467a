"""Runs the model: chunks of prompts into pages, and one row for each of a batch of slots.

It knows tensors, pages and slots, and no policy. On CUDA a decode step is one captured graph per batch size, holding
the whole step from embedding to end detection; the host uploads slot numbers and copies the finished rows back, once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from realtime.engine.attention import Attention
from realtime.engine.models.speech_model import Kinds, SpeechModel
from realtime.engine.sampling import delay_masked, draw, filtered, repeats, uniform
from realtime.engine.slots import SlotSampling, SlotState

_ENDED, _BROKEN = 1, 2
_FEW_CANDIDATES = 64


@dataclass(frozen=True)
class PromptPart:
    """Holds part of a prompt to prefill: tokens [N, K] int64 (text: id, -1, …; audio: K ids) from position `start`
    on.
    """

    tokens: np.ndarray
    start: int
    pages: list[int]


@dataclass(frozen=True)
class Rows:
    """Holds what one decode step drew: ids [B, K], which utterances ended with it [B], and which broke (not finite)
    [B].
    """

    ids: np.ndarray
    ended: np.ndarray
    broken: np.ndarray


@dataclass(frozen=True)
class _Draw:
    """Names a variant of the decode step, chosen by what the batch's requests ask for. `candidates` 0 is greedy
    only.
    """

    candidates: int
    ras: bool


class Runner:
    """Runs one model on one device, with its pages and slots."""

    def __init__(
        self,
        model: SpeechModel,
        attention: Attention,
        *,
        slots: int,
        pages: int,
        page_size: int,
        positions_per_slot: int,
        ras_window: int,
        ras_max_repeats: int,
    ) -> None:
        config = model.config
        self.model = model
        self.attention = attention
        self.page_size = page_size
        self.alphabet = model.alphabet
        self.state = SlotState(
            slots,
            self.alphabet.num_codebooks,
            self.alphabet.bos,
            -(-positions_per_slot // page_size),
            max(ras_window, 1),
            model.device,
        )
        self._few = min(_FEW_CANDIDATES, self.alphabet.size)
        self._ras_max_repeats = ras_max_repeats
        shape = (config.layers, pages, page_size, config.kv_heads, config.head_dim)
        self._keys = torch.zeros(shape, dtype=model.dtype, device=model.device)
        self._values = torch.zeros_like(self._keys)
        self._sampling = [SlotSampling()] * slots
        self._positions = [0] * slots  # a copy of state.position on the host
        self._graphs: dict[tuple[int, int, _Draw], tuple[torch.cuda.CUDAGraph, Tensor, Tensor]] = {}

    @property
    def pages(self) -> int:
        """Return how many pages there are. Page 0 is no request's: padding writes there."""
        return self._keys.shape[1]

    @property
    def pad_slot(self) -> int:
        """Return the spare slot that padding runs on."""
        return self.state.slots

    def open_slot(self, slot: int, prompt_positions: int, pages: list[int], sampling: SlotSampling) -> None:
        """Set a slot to the start of an utterance, whose prompt is in `pages` by the time of its first decode."""
        self.state.open(slot, prompt_positions, pages, sampling)
        self._sampling[slot] = sampling
        self._positions[slot] = prompt_positions

    def wipe(self, pages: list[int]) -> None:
        """Zero pages whose content may not be finite, since masked attention still multiplies what it masks."""
        index = torch.tensor(pages, device=self.model.device)
        self._keys.index_fill_(1, index, 0)
        self._values.index_fill_(1, index, 0)

    @torch.inference_mode()
    def prefill(self, chunks: list[PromptPart]) -> None:
        """Write keys and values of prompt chunks. Chunks of one prompt go in order, in one call or several."""
        device = self.model.device
        packed = np.concatenate([chunk.tokens for chunk in chunks])
        is_audio = packed[:, -1] >= 0
        kinds = Kinds(*(torch.from_numpy(np.flatnonzero(which)).to(device) for which in (~is_audio, is_audio)))
        tokens = torch.from_numpy(packed).to(device)
        starts = [chunk.start for chunk in chunks]
        lengths = [len(chunk.tokens) for chunk in chunks]
        positions = torch.cat([torch.arange(s, s + n) for s, n in zip(starts, lengths, strict=True)]).to(device)
        tables = [torch.tensor(chunk.pages, dtype=torch.int64) for chunk in chunks]
        where = torch.cat(
            [
                table[torch.arange(s, s + n) // self.page_size] * self.page_size
                + torch.arange(s, s + n) % self.page_size
                for table, s, n in zip(tables, starts, lengths, strict=True)
            ]
        ).to(device)
        visible = [
            table[: -(-(s + n) // self.page_size)].to(device)
            for table, s, n in zip(tables, starts, lengths, strict=True)
        ]

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            keys, values = self._store(layer, where, k, v)
            parts, at = [], 0
            for table, start, length in zip(visible, starts, lengths, strict=True):
                part = q[at : at + length]
                parts.append(self.attention.prefill(part, keys, values, table, start + length))
                at += length
            return torch.cat(parts)

        self.model.forward(self.model.embed(tokens, kinds), positions, kinds, attend)

    @torch.inference_mode()
    def decode(self, slots: list[int]) -> Rows:
        """Feed each slot's last row and draw the next one."""
        variant = self._variant(slots)
        width = self._table_width(slots)
        if self.model.device.type == "cuda":
            out = self._replay(slots, width, variant)
        else:
            out = self._step(torch.tensor(slots), width, variant)
        for slot in slots:
            self._positions[slot] += 1
        host = out.cpu().numpy()[: len(slots)]
        flags = host[:, -1]
        return Rows(host[:, :-1], (flags & _ENDED) > 0, (flags & _BROKEN) > 0)

    def warm_up(self, batch_sizes: list[int]) -> None:
        """Call every kernel once (and capture the usual graphs), on the spare slot."""
        common = [_Draw(0, False), _Draw(self._few, False)]
        if self.state.window_rows > 1:
            common.append(_Draw(self._few, True))
        for size in batch_sizes:
            for variant in common:
                if self.model.device.type == "cuda":
                    self._capture(size, self.state.table.shape[1], variant)
                else:
                    with torch.inference_mode():
                        self._step(torch.full((size,), self.pad_slot), 1, variant)

    def _variant(self, slots: list[int]) -> _Draw:
        wants = [self._sampling[slot] for slot in slots]
        ras = any(want.ras for want in wants)
        drawn = [want for want in wants if not want.greedy]
        if not drawn:
            return _Draw(0, ras)
        if all(0 < want.top_k <= _FEW_CANDIDATES for want in drawn):
            return _Draw(self._few, ras)
        return _Draw(self.alphabet.size, ras)

    def _table_width(self, slots: list[int]) -> int:
        """Return how many pages per slot a step looks at: a few fixed widths on CUDA, where each is a graph of its
        own.
        """
        full = self.state.table.shape[1]
        if self.attention.name == "varlen_attn":
            return full
        needed = max(self._positions[slot] for slot in slots) // self.page_size + 1
        if self.model.device.type == "cuda":
            return min(full, 1 << (needed - 1).bit_length())
        return needed

    def _store(self, layer: int, where: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        keys, values = self._keys[layer], self._values[layer]
        keys.view(-1, *keys.shape[2:]).index_copy_(0, where, k)
        values.view(-1, *values.shape[2:]).index_copy_(0, where, v)
        return keys, values

    def _step(self, slots: Tensor, width: int, variant: _Draw) -> Tensor:
        """Run the whole decode step: slots [B] -> [B, K + 1] int32, ids and flags. No host synchronisation on CUDA."""
        state = self.state
        position = state.position[slots]
        table = state.table[slots]
        page = table.gather(1, (position // self.page_size)[:, None])[:, 0]
        where = page.long() * self.page_size + position % self.page_size
        visible = table[:, :width]

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            keys, values = self._store(layer, where, k, v)
            return self.attention.decode(q, keys, values, visible, position + 1)

        hidden = self.model.forward(self.model.embed_rows(state.row[slots]), position, None, attend)
        logits = self.model.logits(hidden)
        finite = torch.isfinite(logits.sum((1, 2)))  # one addend that is not finite makes the sum not finite
        logits = logits.masked_fill(~finite[:, None, None], 0.0)  # keeps the rest of a broken step well defined

        row_index = state.row_index[slots] + 1
        since_eos = state.since_eos[slots]
        ids = self._draw(logits, slots, row_index, since_eos, variant)

        is_eos = ids == self.alphabet.eos
        ended = is_eos.all(1)
        state.row[slots] = ids
        state.position[slots] = position + 1
        state.position[self.pad_slot :] = 0  # padding never walks off the end of its table
        state.row_index[slots] = row_index
        state.since_eos[slots] = torch.where(since_eos > 0, since_eos + 1, is_eos.any(1).long())
        if state.window_rows > 1:
            state.window[slots] = torch.cat((state.window[slots][:, 1:], ids[:, None]), 1)
        flags = ended * _ENDED + ~finite * _BROKEN
        return torch.cat((ids, flags[:, None]), 1).to(torch.int32)

    def _draw(self, logits: Tensor, slots: Tensor, row_index: Tensor, since_eos: Tensor, variant: _Draw) -> Tensor:
        state, books = self.state, self.alphabet.num_codebooks
        scores = delay_masked(logits, row_index, since_eos, self.alphabet)
        ids = scores.argmax(-1)
        seed = state.seed[slots]
        if variant.candidates:
            probabilities, candidates = filtered(
                scores, state.temperature[slots], state.top_k[slots], state.top_p[slots], variant.candidates
            )
            pick = draw(probabilities, uniform(seed, row_index, books, 0))
            drawn = candidates.gather(-1, pick[..., None])[..., 0]
            ids = torch.where(state.greedy[slots][:, None], ids, drawn)
        if variant.ras:
            often = repeats(ids, state.window[slots], self.alphabet) >= self._ras_max_repeats
            again = often & state.ras[slots][:, None]
            if logits.is_cuda or bool(again.any()):
                fresh = draw(logits.softmax(-1), uniform(seed, row_index, books, 1))
                ids = torch.where(again, fresh, ids)
        return ids

    def _replay(self, slots: list[int], width: int, variant: _Draw) -> Tensor:
        size = 1 << (len(slots) - 1).bit_length()
        graph, held, out = self._capture(size, width, variant)
        padded = slots + [self.pad_slot] * (size - len(slots))
        held.copy_(torch.tensor(padded).pin_memory(), non_blocking=True)
        graph.replay()
        return out

    def _capture(self, size: int, width: int, variant: _Draw) -> tuple[torch.cuda.CUDAGraph, Tensor, Tensor]:
        key = (size, width, variant)
        if key not in self._graphs:
            held = torch.full((size,), self.pad_slot, device=self.model.device)
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.inference_mode(), torch.cuda.stream(side):
                for _ in range(2):
                    self._step(held, width, variant)
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.inference_mode(), torch.cuda.graph(graph):
                out = self._step(held, width, variant)
            self._graphs[key] = (graph, held, out)
        return self._graphs[key]

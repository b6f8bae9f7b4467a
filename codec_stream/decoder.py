"""Runs the codec's decoder as a stream: frames of many utterances in, PCM out while they are still being spoken.

Each layer keeps the few input columns its next output needs, so nothing complete is computed twice and chunks of any
size give the same samples. Two modes:

* exact: every layer waits for its right context; the output equals `HiggsAudioV2TokenizerModel.decode` of the whole
  utterance and runs `look_ahead_frames` behind its input. The wait is derived from the weights: taps that are zero do
  not count, so a decoder trained causally waits for little or nothing.
* low-latency: a frame is decoded the moment it is complete. Its right context are the frames behind it, as far as their
  codebooks are known (the delay pattern gives 7 such frames for free), closed with zeros. Each layer computes just the
  provisional columns that the newest frame needs. What was played is what the next frame continues from.

State is an argument: `DecoderState` holds one row of buffers per slot. Source of the architecture: transformers
`models/higgs_audio_v2_tokenizer` and `models/dac`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from codec_stream.codec_config import CodecConfig
from codec_stream.delay import UNKNOWN, Codes
from codec_stream.geometry import Convolution, Span, Upsampling, lay_out, reach_ahead


@dataclass(frozen=True)
class _Conv:
    """Holds a convolution with zero right taps cut off."""

    weight: Tensor  # [C_out, C_in, left + right + 1]
    bias: Tensor
    dilation: int
    shape: Convolution


@dataclass(frozen=True)
class _Up:
    """Applies a transposed convolution as a plain one: output block t is a product of input columns t - 1 and t."""

    weight: Tensor  # [C_out * stride, C_in, 2]
    bias: Tensor  # [C_out * stride]
    shape: Upsampling

    def __call__(self, x: Tensor) -> Tensor:
        """Upsample x [B, C_in, T] -> [B, C_out, T * stride]: blocks of columns 1 … T - 1, and one more as if zeros
        followed.
        """
        blocks = F.conv1d(F.pad(x, (0, 1)), self.weight, self.bias)
        streams, channels, columns = blocks.shape
        stride = self.shape.stride
        split = blocks.view(streams, channels // stride, stride, columns)
        return split.transpose(2, 3).reshape(streams, channels // stride, columns * stride)


@dataclass(frozen=True)
class _Layer:
    """Holds one buffered layer: an activation, a convolution or upsampling, and for a residual unit what follows it."""

    alpha: Tensor | None  # Snake before the convolution, [1, C, 1]
    op: _Conv | _Up
    residual: tuple[Tensor, Tensor, Tensor] | None  # Snake, weight and bias of a residual unit's second convolution


class DecoderState:
    """Holds the buffers of all slots: one tensor [slots + 1, C, columns] per layer.

    The last row is a spare for padding. `seen` counts, on the host, the frames that each slot has been given.
    """

    def __init__(self, buffers: list[Tensor], slots: int) -> None:
        self.buffers = buffers
        self.seen = [0] * (slots + 1)

    def reset(self, slot: int) -> None:
        """Start an utterance in a slot: an empty buffer is the decoder's zero padding."""
        for buffer in self.buffers:
            buffer[slot] = 0
        self.seen[slot] = 0


@dataclass(frozen=True)
class DecodeJob:
    """Holds one slot's part of a decode: its codes, and whether they are the utterance's last (`final`)."""

    slot: int
    codes: Codes
    final: bool = False


class StreamingDecoder:
    """Decodes many utterances as streams. `look_ahead` is the bound of partial frames that are looked at; None is exact
    mode.
    """

    def __init__(
        self, config: CodecConfig, weights: dict[str, Tensor], device: torch.device, look_ahead: int | None
    ) -> None:
        self.config = config
        self.device = device
        self.look_ahead = look_ahead
        self._table, self._table_bias = _latent_table(config, weights, device)
        self._layers = _layers(config, weights, device)
        shapes = [layer.op.shape for layer in self._layers]
        self._spans = lay_out(shapes, look_ahead)
        self.samples_per_frame = self._spans[-1].rate_out
        reach = reach_ahead(shapes)
        self.look_ahead_frames = -(-reach // self.samples_per_frame)
        self.partial_frames = self._spans[0].extra_in
        self._lag = self._spans[-1].lag_out  # samples the output runs behind (exact mode)
        self._graphs: dict[tuple[int, int, bool], tuple[torch.cuda.CUDAGraph, _Inputs, Tensor]] = {}
        self._graph_state: DecoderState | None = None

    def new_state(self, slots: int) -> DecoderState:
        """Return empty buffers for `slots` utterances."""
        buffers = []
        for layer, span in zip(self._layers, self._spans, strict=True):
            buffers.append(torch.zeros(slots + 1, layer.op.weight.shape[1], span.buffer, device=self.device))
        return DecoderState(buffers, slots)

    @torch.inference_mode()
    def decode(self, state: DecoderState, jobs: Sequence[DecodeJob]) -> list[np.ndarray]:
        """Advance each job's slot by its frames and return its new samples, float32 [S] at full scale 1.

        All jobs are computed as one batch, padded to the longest chunk. A final job also returns what the exact mode
        still held back. All samples are copied from the device at once. Raises ValueError unless all jobs that are not
        final have equally many frames.
        """
        flush = -(-self._lag // self.samples_per_frame)
        sizes = [len(turn.codes.frames) + (flush if turn.final else 0) for turn in jobs]
        longest = max(sizes)
        if longest == 0:
            return [np.zeros(0, dtype=np.float32)] * len(jobs)
        if any(size != longest and not turn.final for size, turn in zip(sizes, jobs, strict=True)):
            raise ValueError("jobs that go on must have equally many frames; group them by size")
        inputs, masked = self._inputs(state, jobs, longest)
        if self.device.type == "cuda":
            pcm = self._replay(state, inputs, masked)
        else:
            pcm = self._run(state, inputs, masked)
        host = pcm.cpu().numpy()
        out = []
        for row, turn in zip(host, jobs, strict=True):
            start = state.seen[turn.slot] * self.samples_per_frame - self._lag
            end = (state.seen[turn.slot] + len(turn.codes.frames)) * self.samples_per_frame
            stop = end if turn.final else end - self._lag
            state.seen[turn.slot] += len(turn.codes.frames)
            out.append(row[max(0, -start) : max(0, stop - start)])
        return out

    def _inputs(self, state: DecoderState, jobs: Sequence[DecodeJob], longest: int) -> tuple[_Inputs, bool]:
        ahead = self.partial_frames
        codes = np.full((len(jobs), longest + ahead, self.config.num_quantizers), UNKNOWN, dtype=np.int64)
        first = np.zeros(len(jobs), dtype=np.int64)
        limit = np.full(len(jobs), longest + ahead, dtype=np.int64)
        for index, turn in enumerate(jobs):
            frames, partial = turn.codes.frames, turn.codes.partial[:ahead]
            codes[index, : len(frames)] = frames
            codes[index, len(frames) : len(frames) + len(partial)] = partial
            first[index] = state.seen[turn.slot]
            if self.look_ahead is not None or turn.final:
                limit[index] = len(frames) + len(partial)
        young = self._lag > 0 and bool((first * self.samples_per_frame < self._lag).any())
        cut = bool((limit < longest + ahead).any())
        slots = np.array([turn.slot for turn in jobs])
        inputs = _Inputs(*(torch.from_numpy(array) for array in (slots, codes, first, limit)))
        return inputs, young or cut

    def _run(self, state: DecoderState, inputs: _Inputs, masked: bool) -> Tensor:
        """Run one step: slots [B], codes [B, n + ahead, K], first frame [B], valid frames [B] -> [B, n *
        samples_per_frame].
        """
        slots, codes, first, limit = inputs.slots, inputs.codes, inputs.first, inputs.limit
        frames = codes.shape[1] - self.partial_frames
        offsets = torch.arange(codes.shape[2], device=self.device) * (self.config.codebook_size + 1)
        x = (F.embedding(codes + 1 + offsets, self._table).sum(2) + self._table_bias).transpose(1, 2)
        for layer, span, buffer in zip(self._layers, self._spans, state.buffers, strict=True):
            if masked:
                x = x * self._inside(x.shape[2], span, first, limit)[:, None]
            x = torch.cat((buffer[slots], x), 2)
            step = frames * span.rate_in
            buffer[slots] = x[:, :, step : step + span.buffer]
            x = self._apply(layer, span, x, frames)
        return x[:, 0]

    def _apply(self, layer: _Layer, span: Span, x: Tensor, frames: int) -> Tensor:
        made = frames * span.rate_out + span.extra_out
        h = x if layer.alpha is None else _snake(x, layer.alpha)
        op = layer.op
        if isinstance(op, _Up):
            # skip the padding cut from the first whole block, less the columns that wait for right context
            begin = op.shape.padding - (span.lag_out - span.lag_in * op.shape.stride)
            return op(h)[:, :, begin : begin + made]
        needed = made + op.shape.left + op.shape.right
        h = h[:, :, :needed] if h.shape[2] >= needed else F.pad(h, (0, needed - h.shape[2]))
        y = F.conv1d(h, op.weight, op.bias, dilation=op.dilation)
        if layer.residual is None:
            return y
        alpha, weight, bias = layer.residual
        y = F.conv1d(_snake(y, alpha), weight, bias)
        return x[:, :, op.shape.left : op.shape.left + made] + y

    def _inside(self, columns: int, span: Span, first: Tensor, limit: Tensor) -> Tensor:
        """Return [B, columns], True where a column lies within the utterance (and the known look-ahead)."""
        column = torch.arange(columns, device=self.device) - span.lag_in
        return (column >= -first[:, None] * span.rate_in) & (column < limit[:, None] * span.rate_in)

    def _replay(self, state: DecoderState, inputs: _Inputs, masked: bool) -> Tensor:
        """Run the same step as a captured graph, one per batch size, chunk size and masking."""
        if self._graph_state is not state:
            self._graphs.clear()
            self._graph_state = state
        batch = len(inputs.slots)
        size = 1 << (batch - 1).bit_length()
        padded = inputs.padded(size, spare=len(state.seen) - 1)
        key = (size, padded.codes.shape[1], masked)
        if key not in self._graphs:
            held = padded.spare(len(state.seen) - 1).to(self.device)
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(3):  # lets cuDNN choose its algorithms before the capture
                    self._run(state, held, masked)
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                out = self._run(state, held, masked)
            self._graphs[key] = (graph, held, out)
        graph, held, out = self._graphs[key]
        held.copy_(padded)
        graph.replay()
        return out[:batch]


@dataclass(frozen=True)
class _Inputs:
    """Holds the tensors that one step reads."""

    slots: Tensor  # [B]
    codes: Tensor  # [B, n + ahead, K]
    first: Tensor  # [B] frames seen before
    limit: Tensor  # [B] valid frames from the chunk's start on

    def to(self, device: torch.device) -> _Inputs:
        return _Inputs(*(tensor.to(device) for tensor in (self.slots, self.codes, self.first, self.limit)))

    def padded(self, size: int, spare: int) -> _Inputs:
        """Return the inputs grown to `size` streams; the added ones run on the spare slot."""
        grow = size - len(self.slots)
        return _Inputs(
            F.pad(self.slots, (0, grow), value=spare),
            F.pad(self.codes, (0, 0, 0, 0, 0, grow), value=UNKNOWN),
            F.pad(self.first, (0, grow)),
            F.pad(self.limit, (0, grow)),
        )

    def spare(self, slot: int) -> _Inputs:
        """Return inputs of the same shapes with every stream on the spare slot."""
        return _Inputs(torch.full_like(self.slots, slot), self.codes.clone(), self.first.clone(), self.limit.clone())

    def copy_(self, other: _Inputs) -> None:
        """Overwrite the tensors in place."""
        self.slots.copy_(other.slots)
        self.codes.copy_(other.codes)
        self.first.copy_(other.first)
        self.limit.copy_(other.limit)


def _snake(x: Tensor, alpha: Tensor) -> Tensor:
    return x + (alpha + 1e-9).reciprocal() * torch.sin(alpha * x).square()


def _latent_table(config: CodecConfig, weights: dict[str, Tensor], device: torch.device) -> tuple[Tensor, Tensor]:
    """Fold codebooks, their projections and `fc2` into one table [K * (codes + 1), C], and return it with the bias.

    Entry 0 of each codebook is the unknown code, which adds nothing.
    """
    fc2 = weights["fc2.weight"].double()
    blocks = []
    for k in range(config.num_quantizers):
        prefix = f"quantizer.quantizers.{k}."
        entries = weights[prefix + "codebook.embed"].double() @ weights[prefix + "project_out.weight"].double().T
        latents = (entries + weights[prefix + "project_out.bias"].double()) @ fc2.T
        blocks += [torch.zeros(1, latents.shape[1], dtype=latents.dtype), latents]
    return torch.cat(blocks).float().to(device), weights["fc2.bias"].float().to(device)


def _layers(config: CodecConfig, weights: dict[str, Tensor], device: torch.device) -> list[_Layer]:
    """Return the layers of the DAC decoder in order: first convolution, blocks (upsampling, three residual units), last
    one.
    """

    def get(name: str) -> Tensor:
        return weights["acoustic_decoder." + name].float().to(device)

    def conv(name: str, dilation: int = 1) -> _Conv:
        weight = get(name + ".weight")
        reach = (weight.shape[2] - 1) // 2
        right = reach
        while right > 0 and not weight[:, :, reach + right].any():
            right -= 1
        trimmed = weight[:, :, : reach + right + 1].contiguous()
        return _Conv(trimmed, get(name + ".bias"), dilation, Convolution(reach * dilation, right * dilation))

    layers = [_Layer(None, conv("conv1"), None)]
    for index, stride in enumerate(config.upsampling_ratios):
        block = f"block.{index}."
        weight, padding = get(block + "conv_t1.weight"), -(-stride // 2)
        silent = 0
        while silent < padding and not weight[:, :, silent].any():
            silent += 1
        taps = torch.stack((weight[..., stride:], weight[..., :stride]), -1)  # [C_in, C_out, stride, 2]: older, newer
        flat = taps.permute(1, 2, 0, 3).reshape(-1, weight.shape[0], 2).contiguous()
        bias = get(block + "conv_t1.bias").repeat_interleave(stride)
        up = _Up(flat, bias, Upsampling(stride, padding, silent))
        layers.append(_Layer(get(block + "snake1.alpha"), up, None))
        for unit, dilation in ((f"{block}res_unit{i + 1}.", d) for i, d in enumerate((1, 3, 9))):
            second = (get(unit + "snake2.alpha"), get(unit + "conv2.weight"), get(unit + "conv2.bias"))
            layers.append(_Layer(get(unit + "snake1.alpha"), conv(unit + "conv1", dilation), second))
    layers.append(_Layer(get("snake1.alpha"), conv("conv2"), None))
    return layers

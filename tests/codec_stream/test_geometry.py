"""Scope: the decoder's arithmetic of columns, against a naive search through the layers."""

import math

from hypothesis import given
from hypothesis import strategies as st

from codec_stream.geometry import Convolution, Upsampling, lay_out, reach_ahead

Layers = list[Convolution | Upsampling]


def _released(causal: bool = False) -> Layers:
    """The DAC decoder with the released strides; `causal`: without any right context."""
    right = 0 if causal else 1
    layers: Layers = [Convolution(3, 3 * right)]
    for stride in (8, 5, 4, 2, 3):
        padding = math.ceil(stride / 2)
        layers.append(Upsampling(stride, padding, padding if causal else 0))
        layers += [Convolution(3 * dilation, 3 * dilation * right) for dilation in (1, 3, 9)]
    layers.append(Convolution(3, 3 * right))
    return layers


def _reads(layers: Layers, column: int) -> tuple[int, int]:
    """First and last input column that output `column` of the stack depends on, tap by tap."""
    columns = {column}
    for layer in reversed(layers):
        before: set[int] = set()
        for at in columns:
            if isinstance(layer, Convolution):
                before |= {at - layer.left, at + layer.right}
            else:
                block, tap = divmod(at + layer.padding, layer.stride)
                before |= {block - 1, block} if tap >= layer.silent else {block - 1}
        columns = {min(before), max(before)}
    return min(columns), max(columns)


@st.composite
def _stacks(draw: st.DrawFn) -> Layers:
    layers: Layers = []
    for _ in range(draw(st.integers(1, 5))):
        if draw(st.booleans()):
            layers.append(Convolution(draw(st.integers(0, 9)), draw(st.integers(0, 9))))
        else:
            stride = draw(st.integers(1, 8))
            padding = math.ceil(stride / 2)
            layers.append(Upsampling(stride, padding, draw(st.integers(0, padding))))
    return layers


def test_the_released_codec_looks_ten_frames_ahead() -> None:
    reach = reach_ahead(_released())
    assert 9.5 * 960 < reach <= 10 * 960  # measured on the reference by perturbation: 9.85


def test_a_causal_codec_waits_for_nothing() -> None:
    assert reach_ahead(_released(causal=True)) == 0
    assert all(span.extra_in == 0 for span in lay_out(_released(causal=True), 4))


@given(_stacks())
def test_an_exact_output_waits_as_long_as_it_must_and_no_longer(layers: Layers) -> None:
    rate = math.prod(layer.stride for layer in layers)
    reach = reach_ahead(layers)
    frames = 40  # input columns 0 … 39 are known
    known = frames * rate - reach
    assert _reads(layers, known - 1)[1] < frames, "an output was given that needs an unknown frame"
    assert _reads(layers, known)[1] >= frames, "an output was held back without need"


@given(_stacks())
def test_exact_buffers_reach_back_to_the_oldest_column_needed(layers: Layers) -> None:
    """Layer by layer: the first output of a chunk finds its oldest input in the buffer, and the buffer holds no more
    (an upsampling keeps one column whatever its padding is)."""
    chunk = 7
    for layer, span in zip(layers, lay_out(layers, None), strict=True):
        first_output = chunk * span.rate_out - span.lag_out
        last_output = first_output + span.rate_out - 1
        first_new = chunk * span.rate_in - span.lag_in
        oldest, _ = _reads([layer], first_output)
        assert oldest >= first_new - span.buffer
        if isinstance(layer, Convolution):
            assert oldest == first_new - span.buffer
        assert _reads([layer], last_output)[1] < first_new + span.rate_in


@given(_stacks(), st.integers(0, 12))
def test_provisional_columns_suffice_for_the_newest_frame_and_stay_within_the_look_ahead(
    layers: Layers, look_ahead: int
) -> None:
    spans = lay_out(layers, look_ahead)
    assert spans[-1].extra_out == 0
    for layer, span, after in zip(layers, spans, [*spans[1:], None], strict=True):
        assert span.lag_in == span.lag_out == 0
        assert span.extra_in <= look_ahead * span.rate_in
        if after is not None:
            assert span.extra_out == after.extra_in
        if span.extra_in < look_ahead * span.rate_in:  # not cut off: all that the wanted outputs read is there
            last_output = 7 * span.rate_out + span.extra_out - 1
            assert _reads([layer], last_output)[1] <= 7 * span.rate_in + span.extra_in - 1

"""Scope: the streaming decoder against transformers' `decode`: samples, look-ahead, work and chunk borders."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from codec_stream.codec_config import CodecConfig
from codec_stream.decoder import DecodeJob, StreamingDecoder
from codec_stream.delay import UNKNOWN, Codes, DelayBuffer, delayed_rows
from codec_stream.synthetic import random_codec
from codec_stream.weights import load_codec_weights
from tests.oracle import transformers_codec

CPU = torch.device("cpu")
HOP = 960
LENGTHS = (1, 2, 3, 5, 8, 11, 13, 17, 24, 30)
NONE = np.full((0, 8), UNKNOWN)


class Codec:
    """One random codec: ours to build decoders from, transformers' as the reference. No dataclass, because hypothesis
    would print all of it with a failing case."""

    def __init__(self, config: CodecConfig, weights: dict[str, Tensor], reference: Any = None) -> None:
        self.config = config
        self.weights = weights
        self.reference = reference
        random = np.random.default_rng(7)
        self.utterances = [random.integers(0, config.codebook_size, (count, 8)) for count in LENGTHS]  # codes [T, 8]
        self.offline = [self.decode(codes) for codes in self.utterances] if reference else []  # samples [T * 960]

    def decoder(self, look_ahead: int | None) -> StreamingDecoder:
        return StreamingDecoder(self.config, self.weights, CPU, look_ahead)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            audio = self.reference.decode(torch.from_numpy(codes).T[None]).audio_values
        return audio[0, 0].numpy()


@pytest.fixture(scope="module")
def codecs(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Codec]:
    """By whether it is causal. Both have the released strides."""
    made = {}
    for causal in (False, True):
        folder = tmp_path_factory.mktemp("decoder")
        random_codec(folder, causal=causal, seed=3)
        config = CodecConfig.from_json(folder / "config.json")
        made[causal] = Codec(config, load_codec_weights(folder), transformers_codec(folder))
    return made


def _assert_equal(got: np.ndarray, want: np.ndarray, what: str = "", limit: float = 1e-5) -> None:
    assert got.shape == want.shape, f"{what}: {got.shape} samples, expected {want.shape}"
    error = np.abs(got - want).max() / np.abs(want).max()
    assert error < limit, f"{what}: relative error {error:.2e}"


class _Player:
    """Takes one utterance after the other through one slot, in chunks as told."""

    def __init__(self, slot: int) -> None:
        self.slot = slot
        self.utterance = 0
        self.at = 0
        self.parts: list[np.ndarray] = []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.booleans(), st.data())
def test_exact_mode_equals_offline_decoding_for_streams_out_of_step_in_reused_slots(
    codecs: dict[bool, Codec], causal: bool, data: st.DataObject
) -> None:
    codec = codecs[causal]
    decoder = codec.decoder(None)
    slots = data.draw(st.integers(1, 4), "slots")
    state = decoder.new_state(slots)
    players = {slot: _Player(slot) for slot in range(slots)}
    left = data.draw(st.lists(st.integers(0, len(LENGTHS) - 1), min_size=1, max_size=2 * slots), "utterances")
    idle, compared = list(players), 0
    for slot in idle[:]:
        if left:
            players[slot].utterance = left.pop()
            state.reset(slot)
            idle.remove(slot)
    while len(idle) < slots:
        live = [slot for slot in players if slot not in idle]
        size = data.draw(st.sampled_from((1, 2, 3, 4, 8)), "chunk")
        chosen = data.draw(st.lists(st.sampled_from(live), min_size=1, unique=True), "streams")
        jobs = []
        for slot in chosen:
            player = players[slot]
            codes = codec.utterances[player.utterance][player.at : player.at + size]
            remaining = len(codec.utterances[player.utterance]) - player.at - len(codes)
            # the end may be known with the last frames or only after them
            final = len(codes) < size or (remaining == 0 and data.draw(st.booleans(), "end known"))
            player.at += len(codes)
            jobs.append(DecodeJob(slot, Codes(codes, NONE), final))
        going_on, finals = [job for job in jobs if not job.final], [job for job in jobs if job.final]
        samples_of = decoder.decode(state, going_on) if going_on else []
        samples_of += decoder.decode(state, finals) if finals else []
        for job, samples in zip(going_on + finals, samples_of, strict=True):
            player = players[job.slot]
            player.parts.append(samples)
            if job.final:
                _assert_equal(np.concatenate(player.parts), codec.offline[player.utterance])
                compared += 1
                state.reset(job.slot)
                player.at, player.parts = 0, []
                if left:
                    player.utterance = left.pop()
                else:
                    idle.append(job.slot)
    assert compared


def test_chunks_that_go_on_must_be_of_one_size(codecs: dict[bool, Codec]) -> None:
    decoder = codecs[False].decoder(None)
    state = decoder.new_state(2)
    codes = codecs[False].utterances[-1]
    with pytest.raises(ValueError, match="group them by size"):
        decoder.decode(state, [DecodeJob(0, Codes(codes[:2], NONE)), DecodeJob(1, Codes(codes[:3], NONE))])


@pytest.mark.parametrize("causal", [False, True])
def test_no_later_frame_changes_samples_already_given(codecs: dict[bool, Codec], causal: bool) -> None:
    """What is given after n frames is right for every continuation, and it is all that is."""
    codec = codecs[causal]
    decoder = codec.decoder(None)
    start = codec.utterances[-1][:18]
    state = decoder.new_state(1)
    given_samples = np.concatenate(
        [decoder.decode(state, [DecodeJob(0, Codes(start[t : t + 2], NONE))])[0] for t in range(0, 18, 2)]
    )
    random = np.random.default_rng(1)
    wholes = [codec.decode(np.concatenate((start, random.integers(0, 1024, (count, 8))))) for count in (1, 4, 14)]
    for whole in wholes:
        scale = np.abs(whole).max()
        assert np.abs(given_samples - whole[: len(given_samples)]).max() < 1e-5 * scale
    one_frame_more = len(given_samples) + HOP
    assert np.abs(wholes[1][:one_frame_more] - wholes[2][:one_frame_more]).max() > 1e-4
    assert 18 * HOP - len(given_samples) == pytest.approx(decoder.look_ahead_frames * HOP, abs=HOP)


def test_the_look_ahead_comes_from_the_weights(codecs: dict[bool, Codec]) -> None:
    assert codecs[False].decoder(None).look_ahead_frames == 10
    assert codecs[True].decoder(None).look_ahead_frames <= 3  # one tap of the first convolution looks ahead
    assert codecs[True].decoder(4).partial_frames == 1


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("chunk", [1, 4])
def test_low_latency_with_complete_look_ahead_equals_exact(codecs: dict[bool, Codec], causal: bool, chunk: int) -> None:
    codec = codecs[causal]
    decoder = codec.decoder(10)
    state = decoder.new_state(2)
    codes, parts = codec.utterances[-1], []
    for at in range(0, len(codes), chunk):
        now = codes[at : at + chunk]
        ahead = codes[at + len(now) : at + len(now) + 10]
        other = DecodeJob(0, Codes(now[::-1].copy(), NONE), False) if len(now) == chunk else None
        jobs = [DecodeJob(1, Codes(now, ahead), at + chunk >= len(codes))] + ([other] if other else [])
        parts.append(decoder.decode(state, jobs)[0])
        assert len(parts[-1]) == len(now) * HOP  # nothing is held back
    _assert_equal(np.concatenate(parts), codec.offline[-1], limit=2e-5)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("look_ahead", [0, 1, 4])
def test_the_first_chunk_is_the_offline_decoding_of_what_is_known(
    codecs: dict[bool, Codec], causal: bool, look_ahead: int
) -> None:
    """An unknown codebook adds nothing to the latent, and the sequence ends behind the look-ahead."""
    codec = codecs[causal]
    decoder = codec.decoder(look_ahead)
    rows = delayed_rows(codec.utterances[-1], 1024, 1025)
    buffer = DelayBuffer(8, 1024)
    for row in rows[1:11]:
        buffer.push(row)
    codes = buffer.take(3, decoder.partial_frames)
    assert len(codes.frames) == 3
    assert (codes.partial == UNKNOWN).any() == bool(decoder.partial_frames)
    samples = decoder.decode(decoder.new_state(1), [DecodeJob(0, codes)])[0]

    model = codec.reference
    frames = torch.from_numpy(np.concatenate((codes.frames, codes.partial)))
    with torch.no_grad():
        latent = torch.zeros(len(frames), codec.config.hidden_size)
        for k, quantizer in enumerate(model.quantizer.quantizers):
            decoded = quantizer.decode(frames[None, :, k].clamp(min=0))
            decoded = decoded[0].T if decoded.shape[1] == codec.config.hidden_size else decoded[0]
            latent += torch.where(frames[:, k, None] >= 0, decoded, 0.0)
        want = model.acoustic_decoder(model.fc2(latent).T[None])[0, 0, : 3 * HOP].numpy()
    _assert_equal(samples, want)


def _stream(decoder: StreamingDecoder, codes: np.ndarray, chunk: int) -> np.ndarray:
    """Row by row, as the engine does it: decode whenever `chunk` frames are complete."""
    state, buffer, parts = decoder.new_state(1), DelayBuffer(8, 1024), []
    for row in delayed_rows(codes, 1024, 1025)[1:]:
        buffer.push(row)
        if buffer.pending >= chunk:
            parts.append(decoder.decode(state, [DecodeJob(0, buffer.take(chunk, decoder.partial_frames))])[0])
    buffer.finish()
    last = False
    while not last:
        last = buffer.pending <= 8
        codes_left = buffer.take(8, decoder.partial_frames)
        parts.append(decoder.decode(state, [DecodeJob(0, codes_left, last)])[0])
    return np.concatenate(parts)


def _snr(got: np.ndarray, want: np.ndarray) -> float:
    """Decibels."""
    return 10 * math.log10((want**2).sum() / ((got - want) ** 2).sum())


@pytest.mark.parametrize("chunk", [1, 4])
def test_partial_look_ahead_brings_the_output_closer_to_the_exact_one(codecs: dict[bool, Codec], chunk: int) -> None:
    codec = codecs[False]
    want = codec.offline[-1]
    snr = {}
    for look_ahead in (0, 1, 2, 4, 7):
        got = _stream(codec.decoder(look_ahead), codec.utterances[-1], chunk)
        assert got.shape == want.shape
        snr[look_ahead] = _snr(got, want)
    assert snr[1] > snr[0] + 0.5, snr
    assert snr[2] > snr[1], snr
    assert snr[4] > snr[2], snr
    causal = codecs[True]  # one tap looks one frame ahead: with the partial frame only its fine codebook is missing
    assert _snr(_stream(causal.decoder(1), causal.utterances[-1], chunk), causal.offline[-1]) > snr[7]


@settings(max_examples=15, deadline=None)
@given(st.sampled_from((0, 2, 4)), st.sampled_from((1, 2, 4)), st.permutations(range(4)))
def test_a_low_latency_stream_is_the_same_alone_and_among_others(
    codecs: dict[bool, Codec], look_ahead: int, chunk: int, slots: list[int]
) -> None:
    codec = codecs[False]
    decoder = codec.decoder(look_ahead)
    codes = [codec.utterances[-1][:8], codec.utterances[-2][:8], codec.utterances[-3][:8]]

    def run(streams: dict[int, np.ndarray], begin: dict[int, int]) -> dict[int, np.ndarray]:
        state = decoder.new_state(4)
        out: dict[int, list[np.ndarray]] = {slot: [] for slot in streams}
        for tick in range(6 + 8 // chunk):
            jobs = []
            for slot, frames in streams.items():
                at = (tick - begin[slot]) * chunk
                if 0 <= at < 8:
                    part = Codes(frames[at : at + chunk], frames[at + chunk : at + chunk + look_ahead])
                    jobs.append(DecodeJob(slot, part, at + chunk == 8))
            if jobs:
                for job, samples in zip(jobs, decoder.decode(state, jobs), strict=True):
                    out[job.slot].append(samples)
        return {slot: np.concatenate(parts) for slot, parts in out.items()}

    together = run(dict(zip(slots, codes, strict=False)), dict(zip(slots, (0, 2, 3), strict=False)))
    for slot, frames in zip(slots, codes, strict=False):
        _assert_equal(together[slot], run({0: frames}, {0: 0})[0], f"slot {slot}", 5e-6)


def test_a_reset_slot_remembers_nothing(codecs: dict[bool, Codec]) -> None:
    codec = codecs[False]
    decoder = codec.decoder(4)
    state = decoder.new_state(2)
    job = DecodeJob(1, Codes(codec.utterances[-1][:4], codec.utterances[-1][4:8]))
    fresh = decoder.decode(state, [job])[0]
    decoder.decode(state, [DecodeJob(1, Codes(codec.utterances[-2][:4], NONE))])
    assert not np.array_equal(decoder.decode(state, [job])[0], fresh)
    state.reset(1)
    assert np.array_equal(decoder.decode(state, [job])[0], fresh)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A codec with the released decoder's dimensions."""
    folder = tmp_path_factory.mktemp("released")
    random_codec(folder, small=False)
    return folder


def test_streaming_costs_little_more_than_offline_decoding(
    released: Path, record_property: Callable[[str, object], None]
) -> None:
    """Multiply-adds per frame at the released dimensions, counted."""
    config, weights = CodecConfig.from_json(released / "config.json"), load_codec_weights(released)
    codes = np.random.default_rng(0).integers(0, 1024, (48, 8))

    model = transformers_codec(released)
    with torch.no_grad(), FlopCounterMode(display=False) as offline:
        model.decode(torch.from_numpy(codes[:25]).T[None])
    offline_per_frame = offline.get_total_flops() / 2 / 25
    assert offline_per_frame == pytest.approx(6.8e9 / 25, rel=0.1)  # MODEL.md: 6.8 GMAC per second of audio

    def ratio(look_ahead: int | None, chunk: int) -> float:
        decoder = StreamingDecoder(config, weights, CPU, look_ahead)
        state = decoder.new_state(1)
        partial = codes[24 : 24 + decoder.partial_frames]
        for at in range(0, 12, 4):  # past the start, where an exact output still waits
            decoder.decode(state, [DecodeJob(0, Codes(codes[at : at + 4], codes[:0]))])
        with FlopCounterMode(display=False) as streaming:
            decoder.decode(state, [DecodeJob(0, Codes(codes[12 : 12 + chunk], partial))])
        return streaming.get_total_flops() / 2 / chunk / offline_per_frame

    ratios = {
        f"{name} {chunk}": ratio(ahead, chunk) for name, ahead in (("exact", None), ("live", 4)) for chunk in (1, 4)
    }
    record_property("multiply_adds_over_offline", {key: round(value, 3) for key, value in ratios.items()})
    assert 0.9 < ratios["exact 4"] <= 1.3, ratios
    assert ratios["live 4"] < ratios["live 1"] < 10, ratios


PERIOD = 120  # samples of the tone below: 200 Hz


@pytest.fixture(scope="module")
def tone_codec(codecs: dict[bool, Codec]) -> Codec:
    """A codec whose every code says "go on with the tone": all latents are equal, and every layer jobs a phasor in its
    first two channels on to its own rate. All taps carry weight, so a missing look-ahead shows."""
    codec = codecs[False]
    weights = {name: tensor.clone() for name, tensor in codec.weights.items()}
    share = 0.5 ** torch.arange(8.0)
    for k in range(8):  # coarse first, as in a trained codec
        quantizer = f"quantizer.quantizers.{k}.project_out."
        weights[quantizer + "weight"].zero_()
        weights[quantizer + "bias"].zero_()[0] = share[k] / share.sum()
    weights["fc2.weight"].zero_()[0, 0] = 1.0
    weights["fc2.bias"].zero_()
    for name, tensor in weights.items():
        if name.startswith("acoustic_decoder."):
            tensor.fill_(1e-5) if name.endswith("alpha") else tensor.zero_()  # such a Snake changes nothing

    def set_conv(name: str, phase: float, dilation: int, job: float = 0.0) -> None:
        """Seven taps that each job the phasor at their place to where the output is (and `job` further)."""
        weight = weights[f"acoustic_decoder.{name}.weight"]
        shape = torch.tensor([1.0, 2, 3, 4, 3, 2, 1]) / 16  # the middle matters most, as in trained weights
        for tap in range(7):
            turned = _rotation(job - (tap - 3) * dilation * phase) * shape[tap]
            weight[: min(2, len(weight)), :2, tap] = turned[: len(weight)]

    set_conv("conv1", 0.0, 1)
    rate, phase = 1, 0.0
    for index, stride in enumerate(codec.config.upsampling_ratios):
        rate *= stride
        phase = 2 * math.pi * (HOP // rate) / PERIOD
        up = weights[f"acoustic_decoder.block.{index}.conv_t1.weight"]
        for tap in range(2 * stride):
            up[:2, :2, tap] = 0.5 * _rotation(phase * tap).T
        for unit, dilation in ((1, 1), (2, 3), (3, 9)):
            set_conv(f"block.{index}.res_unit{unit}.conv1", phase, dilation)
            weights[f"acoustic_decoder.block.{index}.res_unit{unit}.conv2.weight"][:2, :2, 0] = 0.1 * torch.eye(2)
    set_conv("conv2", phase, 1, job=math.pi / 4)  # at a frame border the tone is neither at a zero nor at a peak
    return Codec(codec.config, weights)


def _rotation(angle: float) -> Tensor:
    return torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def _breaks(samples: np.ndarray, own_step: float) -> float:
    """How far the samples around frame borders are from going on as the same tone, over the tone's largest step.

    A tone of any amplitude and phase has x[n + 1] = 2 cos(w) x[n] - x[n - 1]; what is left over is a jump or a bend.
    """
    left = np.abs(samples[2:] - 2 * math.cos(2 * math.pi / PERIOD) * samples[1:-1] + samples[:-2]) / own_step
    return float(max(left[border - 3 : border + 2].max() for border in range(12 * HOP, 30 * HOP, HOP)))


@pytest.mark.parametrize("chunk", [1, 2, 4])
def test_a_steady_tone_stays_steady_across_chunk_borders(tone_codec: Codec, chunk: int) -> None:
    codes = np.random.default_rng(0).integers(0, 1024, (42, 8))
    exact = _stream(tone_codec.decoder(None), codes, 4)
    steady = exact[14 * HOP : 18 * HOP]
    amplitude = 2 * np.abs((steady * np.exp(-2j * np.pi * np.arange(len(steady)) / PERIOD)).mean())
    assert amplitude == pytest.approx(np.abs(steady).max(), rel=1e-3), "the synthetic codec gives no steady tone"
    own_step = float(np.abs(np.diff(steady)).max())
    assert _breaks(exact, own_step) < 1e-3

    live = _stream(tone_codec.decoder(4), codes, chunk)
    assert _breaks(live, own_step) < 0.03
    assert np.abs(live - exact)[12 * HOP : 30 * HOP].max() < 0.03 * amplitude
    assert np.abs(np.diff(live))[12 * HOP : 30 * HOP].max() < 1.03 * own_step
    blind = _stream(tone_codec.decoder(0), codes, chunk)
    assert _breaks(blind, own_step) > 1.0, "the measure hears no click where there is one"

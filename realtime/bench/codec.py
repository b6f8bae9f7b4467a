"""Measures the speed of the streaming decoder, and what low-latency decoding costs in accuracy (`voiced bench codec`).

Speed: chunks of 1, 2, 4, 8 frames of 1, 4, 16 streams at the released decoder's dimensions (random weights), as times
real time summed over the streams: exact, low-latency (4 frames of look-ahead), and window re-decoding, which decodes 10
+ n + 10 frames from nothing for every chunk of n, as a decoder without state must for the exact samples.

Error: low-latency output against the exact decode of the whole utterance, per look-ahead, on the built-in checkpoint's
codec. The look-ahead is either the partial frames of the delay pattern, which are there anyway, or complete frames,
which cost that many steps of waiting. Levels are means over the utterance: SNR, and the mean absolute difference of
log-mel spectra (80 bands, 1024-point windows every 10 ms, levels more than 80 dB under the loudest raised to that).
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from codec_stream.codec_config import CodecConfig
from codec_stream.decoder import DecodeJob, DecoderState, StreamingDecoder
from codec_stream.delay import Codes, DelayBuffer, delayed_rows
from codec_stream.encoder import Encoder
from codec_stream.weights import load_codec_weights
from realtime.bench.endless import released_size_codec
from realtime.bench.report import Table, add_common_arguments, environment, median_seconds, progress
from realtime.checkpoints import POCKET, built_in
from realtime.engine.models.higgs_v2.checkpoint import open_checkpoint

NAME = "codec"
HELP = "the streaming decoder's speed beside window re-decoding, and its low-latency error"

_MARGIN = 10  # frames that the released decoder reaches to either side
_LOOK_AHEAD = 4
_LOOK_AHEADS = (0, 1, 2, 4, 7)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--threads", type=int, default=0, help="torch threads; 0: half the CPUs")
    parser.add_argument("--rounds", type=int, default=3, help="times each chunk is decoded; medians are reported")
    parser.add_argument("--seconds", type=float, default=4.0, help="audio in the error table")
    add_common_arguments(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure everything, and return the result; README.md explains the keys."""
    threads = args.threads or max(1, (os.cpu_count() or 2) // 2)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        speed_folder = _built_in_codec() if args.quick else released_size_codec()
        speed = _speed(speed_folder, args.quick, 1 if args.quick else args.rounds)
        progress("low-latency error")
        error = _error(_built_in_codec(), 1.0 if args.quick else args.seconds)
    finally:
        torch.set_num_threads(before)
    return {
        "benchmark": NAME,
        "quick": args.quick,
        "environment": environment(threads),
        "speed": speed,
        "error": error,
        "error_codec": "random weights" if built_in() != POCKET else "trained",
    }


def tables(result: dict[str, Any]) -> list[Table]:
    """Show the result for people."""
    keys = ("streams", "chunk_frames", "exact", "low_latency", "window", "exact_vs_window", "low_latency_vs_window")
    error_keys = ("look_ahead_frames", "context", "waits_steps", "chunk_frames", "snr_db", "log_mel_db")
    size = "the built-in codec's" if result["quick"] else "the released"
    return [
        Table(
            f"codec: times real time over all streams, decoder of {size} dimensions",
            ("streams", "chunk", "exact", "low-latency", "window", "exact / window", "low-latency / window"),
            [[row[key] for key in keys] for row in result["speed"]],
            ["above 1 the streams keep up; window decodes 10 + n + 10 frames for each chunk of n"],
        ),
        Table(
            f"low-latency output against exact, built-in codec ({result['error_codec']})",
            ("look-ahead", "made of", "waits steps", "chunk", "SNR dB", "log-mel dB"),
            [[row[key] for key in error_keys] for row in result["error"]],
            ["no SNR: the samples are the same", *_caveat(result)],
        ),
    ]


def _built_in_codec() -> Path:
    return open_checkpoint(str(built_in())).codec_folder


def _caveat(result: dict[str, Any]) -> list[str]:
    if result["error_codec"] == "trained":
        return []
    return ["random weights: every tap weighs alike, so errors are far larger than a trained codec's"]


def _speed(folder: Path, quick: bool, rounds: int) -> list[dict[str, float | int]]:
    config, weights = CodecConfig.from_json(folder / "config.json"), load_codec_weights(folder)
    exact = StreamingDecoder(config, weights, torch.device("cpu"), None)
    live = StreamingDecoder(config, weights, torch.device("cpu"), _LOOK_AHEAD)
    random = np.random.default_rng(0)
    rows: list[dict[str, float | int]] = []
    for streams in (1, 2) if quick else (1, 4, 16):
        states = {decoder: decoder.new_state(streams) for decoder in (exact, live)}
        for decoder, state in states.items():  # past the start of the utterance, where exact decoding holds back
            _decode(decoder, state, streams, 2 * _MARGIN, random)
        window = exact.new_state(streams)
        for frames in (1, 2) if quick else (1, 2, 4, 8):
            progress(f"{streams} streams, chunks of {frames}")

            def again(frames: int = frames, streams: int = streams, window: DecoderState = window) -> None:
                for slot in range(streams):
                    window.reset(slot)
                _decode(exact, window, streams, _MARGIN + frames + _MARGIN, random)

            works = [lambda d=d, s=s, n=frames, b=streams: _decode(d, s, b, n, random) for d, s in states.items()]
            exact_s, live_s, window_s = median_seconds(*works, again, rounds=rounds)
            audio_s = streams * frames / config.frame_rate
            rows.append(
                {
                    "streams": streams,
                    "chunk_frames": frames,
                    "exact": audio_s / exact_s,
                    "low_latency": audio_s / live_s,
                    "window": audio_s / window_s,
                    "exact_vs_window": window_s / exact_s,
                    "low_latency_vs_window": window_s / live_s,
                }
            )
    return rows


def _decode(
    decoder: StreamingDecoder, state: DecoderState, streams: int, frames: int, random: np.random.Generator
) -> None:
    def codes(count: int) -> np.ndarray:
        return random.integers(0, decoder.config.codebook_size, (count, decoder.config.num_quantizers))

    decoder.decode(
        state, [DecodeJob(slot, Codes(codes(frames), codes(decoder.partial_frames))) for slot in range(streams)]
    )


def _error(folder: Path, seconds: float) -> list[dict[str, Any]]:
    config, weights = CodecConfig.from_json(folder / "config.json"), load_codec_weights(folder)
    frames = Encoder(config, weights).encode(_voice_like(seconds, config.sample_rate)).astype(np.int64)
    cpu = torch.device("cpu")
    exact = StreamingDecoder(config, weights, cpu, None)
    want = exact.decode(exact.new_state(1), [DecodeJob(0, Codes(frames, frames[:0]), final=True)])[0]
    rows = []
    for look_ahead in _LOOK_AHEADS:
        decoder = StreamingDecoder(config, weights, cpu, look_ahead)
        for context in ("partial", "complete") if look_ahead else ("none",):
            for chunk in (1, 4):
                got = _streamed(decoder, frames, chunk, look_ahead, complete=context == "complete")
                snr, mel = _snr_db(got, want), _log_mel_db(got, want, config.sample_rate)
                rows.append(
                    {
                        "look_ahead_frames": look_ahead,
                        "context": context,
                        "waits_steps": look_ahead if context == "complete" else 0,
                        "chunk_frames": chunk,
                        "snr_db": snr,
                        "log_mel_db": mel,
                    }
                )
    return rows


def _streamed(
    decoder: StreamingDecoder, frames: np.ndarray, chunk: int, look_ahead: int, *, complete: bool
) -> np.ndarray:
    """Decode `frames` [T, K] chunk by chunk, with what is known behind each chunk at that moment."""
    books, codes = frames.shape[1], decoder.config.codebook_size
    state, out = decoder.new_state(1), []
    if complete:
        for start in range(0, len(frames), chunk):
            end = start + chunk
            known = Codes(frames[start:end], frames[end : end + look_ahead])
            out += decoder.decode(state, [DecodeJob(0, known, final=end >= len(frames))])
        return np.concatenate(out)
    buffer = DelayBuffer(books, codes)
    for row in delayed_rows(frames, bos=codes, eos=codes + 1)[1:]:
        buffer.push(row)
        if buffer.pending >= chunk:
            out += decoder.decode(state, [DecodeJob(0, buffer.take(chunk, look_ahead))])
    buffer.finish()
    out += decoder.decode(state, [DecodeJob(0, buffer.take(chunk, 0), final=True)])
    return np.concatenate(out)


def _voice_like(seconds: float, rate: int) -> np.ndarray:
    """Make a gliding buzz with moving formants and breath, which gives codes that vary as those of speech do."""
    time = np.arange(int(seconds * rate)) / rate
    pitch = 120 + 30 * np.sin(2 * np.pi * 0.7 * time) + 4 * np.sin(2 * np.pi * 5 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    audio = np.zeros_like(time)
    for harmonic in range(1, 30):
        frequency = harmonic * pitch
        first, second = 500 + 250 * np.sin(2 * np.pi * 1.3 * time), 1500 + 500 * np.sin(2 * np.pi * 0.9 * time)
        level = np.exp(-(((frequency - first) / 200) ** 2)) + 0.5 * np.exp(-(((frequency - second) / 300) ** 2))
        audio += level * np.sin(harmonic * phase)
    audio += 0.05 * np.random.default_rng(0).standard_normal(len(time))
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 3.5 * time)
    voice: np.ndarray = (0.3 * syllables * audio / np.abs(audio).max()).astype(np.float32)
    return voice


def _snr_db(got: np.ndarray, want: np.ndarray) -> float | None:
    """Return the signal-to-noise ratio in dB; None when the two are equal but for rounding."""
    noise, signal = float(np.square(got - want).sum()), float(np.square(want).sum())
    return 10 * float(np.log10(signal / noise)) if noise > 1e-11 * signal else None


def _log_mel_db(got: np.ndarray, want: np.ndarray, rate: int) -> float:
    bank = _mel_bank(rate)

    def levels(audio: np.ndarray) -> np.ndarray:
        window = torch.hann_window(1024)
        spectrum = torch.stft(torch.from_numpy(audio), 1024, rate // 100, window=window, return_complex=True)
        power: np.ndarray = bank @ spectrum.abs().square().numpy()
        return power

    theirs, ours = levels(want), levels(got)
    floor = 1e-8 * theirs.max()
    return float(np.abs(10 * np.log10(np.maximum(ours, floor) / np.maximum(theirs, floor))).mean())


def _mel_bank(rate: int, bands: int = 80) -> np.ndarray:
    """Return triangles on the mel scale, [bands, 513]."""
    top = 2595 * np.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, bands + 2) / 2595) - 1)
    frequency = np.linspace(0, rate / 2, 513)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (frequency - low) / (middle - low), (high - frequency) / (high - middle)
    bank: np.ndarray = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    return bank

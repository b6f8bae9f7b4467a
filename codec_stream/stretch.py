"""Changes the speed of speech at the same pitch, as a stream (FFmpeg's atempo: waveform-similarity overlap-add)."""

from fractions import Fraction

import av
import numpy as np
from av.error import BlockingIOError as NothingReady
from av.error import EOFError as StreamEnded
from av.filter import Graph

MIN_SPEED, MAX_SPEED = 0.25, 4.0
# One atempo slows down to half at most; slower speech passes two of them.
_SLOWEST_STAGE = 0.5
_PIECE_SECONDS = 0.01
# At the end of a stream atempo swallows some speech, always less than this.
_TAIL_SECONDS = 0.15


class Stretcher:
    """Changes the speed of one stream of mono PCM16: n samples become round(n / speed), whatever the chunks.

    At speed 1 bytes pass untouched. Otherwise at most 85 ms of speech at 24 kHz are kept back up to speed 2, and 120 ms
    up to 4. Raises ValueError for a speed out of 0.25 to 4.
    """

    def __init__(self, speed: float, rate: int) -> None:
        if not MIN_SPEED <= speed <= MAX_SPEED:
            raise ValueError(f"speed is {speed}, expected {MIN_SPEED} to {MAX_SPEED:g}")
        self._speed, self._rate = speed, rate
        self._graph = None if speed == 1.0 else _tempo_graph(speed, rate)
        self._piece_bytes = 2 * round(rate * _PIECE_SECONDS)
        self._tail_samples = round(rate * _TAIL_SECONDS)
        self._held = self._tail = b""
        self._taken = self._given = 0
        self._flushed = False

    def push(self, pcm16: bytes) -> bytes:
        """Take the next PCM16 chunk and return what is ready, maybe nothing.

        Raises ValueError for half a sample, and after `flush`.
        """
        if self._flushed:
            raise ValueError("the stretcher was flushed; start a new one for new audio")
        if len(pcm16) % 2:
            raise ValueError(f"PCM16 comes in whole samples of 2 bytes, got {len(pcm16)} bytes")
        if self._graph is None:
            return pcm16
        self._taken += len(pcm16) // 2
        self._tail = (self._tail + pcm16)[-2 * self._tail_samples :]
        return self._stretch(self._graph, pcm16)

    def flush(self) -> bytes:
        """End the stream and return the rest of it. Raises ValueError when called twice."""
        if self._flushed:
            raise ValueError("the stretcher was flushed; start a new one for new audio")
        self._flushed = True
        if self._graph is None:
            return b""
        owed = 2 * (round(self._taken / self._speed) - self._given)
        # The stream's end, mirrored, pushes all of it out; silence there would fade the last sounds.
        mirrored = np.frombuffer(self._tail, dtype="<i2")[::-1].tobytes().ljust(2 * self._tail_samples, b"\0")
        return self._stretch(self._graph, mirrored)[:owed]

    def _stretch(self, graph: Graph, pcm16: bytes) -> bytes:
        # atempo's output depends on how its input is cut, so it always gets the same pieces.
        held = self._held + pcm16
        whole = len(held) - len(held) % self._piece_bytes
        self._held = held[whole:]
        pieces = (held[start : start + self._piece_bytes] for start in range(0, whole, self._piece_bytes))
        stretched = b"".join(self._through(graph, piece) for piece in pieces)
        self._given += len(stretched) // 2
        return stretched

    def _through(self, graph: Graph, piece: bytes) -> bytes:
        frame = av.AudioFrame.from_ndarray(
            np.frombuffer(piece, dtype="<i2").astype(np.int16)[None], format="s16", layout="mono"
        )
        frame.sample_rate = self._rate
        graph.push(frame)
        stretched: list[bytes] = []
        while True:
            try:
                pulled = graph.pull()
            except (NothingReady, StreamEnded):
                return b"".join(stretched)
            stretched.append(pulled.to_ndarray()[0].astype("<i2").tobytes())


def _tempo_graph(speed: float, rate: int) -> Graph:
    stages = [speed] if speed >= _SLOWEST_STAGE else [speed**0.5, speed**0.5]
    graph = Graph()
    graph.threads = 1
    source = graph.add_abuffer(sample_rate=rate, format="s16", layout="mono", time_base=Fraction(1, rate))
    tempo = [graph.add("atempo", f"{stage:.9f}") for stage in stages]
    graph.link_nodes(source, *tempo, graph.add("abuffersink")).configure()
    return graph

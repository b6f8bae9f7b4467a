"""Hears: the process that takes the audio of all streams and tells their scores, in the order in which the audio came.

It is started as `python -m realtime.hearing.worker FD` with one end of a socket pair. It leaves when the other end
closes, and ignores the terminal's signals: the gateway decides when it ends.
"""

from __future__ import annotations

import contextlib
import gc
import signal
import socket
import sys
import time

import msgspec

from realtime.framing import Inbox, packed
from realtime.hearing.detector import Detectors, SpeechDetector
from realtime.hearing.messages import Audio, Inbound, Listen, Ready, Rest, Scores, StreamScores

_LONGEST_PASS_S = 0.005
"""Scores are sent after this time even if more audio waits, so that the first stream of a pass does not wait for the
last one."""


class Hearer:
    """Scores all streams, and keeps the scores that were not told yet."""

    def __init__(self) -> None:
        self._detectors = Detectors()
        self._listening: dict[int, SpeechDetector] = {}
        self._found: dict[int, list[float]] = {}

    @property
    def detector(self) -> str:
        """Return the name of the detectors."""
        return self._detectors.name

    def apply(self, message: Inbound) -> None:
        """Act on one message from the gateway. Audio of a stream that did not begin is dropped."""
        match message:
            case Listen():
                self._listening[message.stream] = self._detectors.take()
            case Audio():
                if (detector := self._listening.get(message.stream)) is not None:
                    self._found.setdefault(message.stream, []).extend(detector.push(message.pcm))
            case Rest():
                if (detector := self._listening.pop(message.stream, None)) is not None:
                    self._detectors.give_back(detector)

    def told(self) -> Scores | None:
        """Return the scores since the last call, or None if there are none. They count as told from then on."""
        found, self._found = self._found, {}
        streams = [StreamScores(stream, tuple(scores)) for stream, scores in found.items() if scores]
        return Scores(streams) if streams else None


def serve(connection: socket.socket) -> None:
    """Answer messages for ever. Raises EOFError, or another error of the connection, when the other end is gone."""
    inbox, hearer, decoder = Inbox(connection), Hearer(), msgspec.msgpack.Decoder(Inbound)
    connection.sendall(packed(Ready(hearer.detector)))
    gc.collect()
    gc.freeze()
    while True:
        inbox.wait(None)
        began = time.monotonic()
        for body in inbox.receive():
            hearer.apply(decoder.decode(body))
            if time.monotonic() - began > _LONGEST_PASS_S:
                _tell(connection, hearer)
                began = time.monotonic()
        _tell(connection, hearer)


def _tell(connection: socket.socket, hearer: Hearer) -> None:
    if (scores := hearer.told()) is not None:
        connection.sendall(packed(scores))


def main() -> None:
    """Run the process, which is born with the terminal's signals blocked."""
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    gone = contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError)  # the gateway has gone: so do we
    with socket.socket(fileno=int(sys.argv[1])) as connection, gone:
        serve(connection)


if __name__ == "__main__":
    main()

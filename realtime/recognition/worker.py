"""The process that recognises speech: one job after the other in, their texts out.

Started as `python -m realtime.recognition.worker FD` with one end of a socket pair. It leaves when the other end
closes, and ignores the terminal's signals: the gateway decides when it ends. It steps back behind the engine and the
gateway (`nice`), whose speech must not wait for it.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec

import msgspec

from realtime.framing import Inbox, packed
from realtime.recognition.messages import (
    Alive,
    Failed,
    Found,
    Inbound,
    Load,
    Loaded,
    NotUnderstood,
    Outbound,
    Prepare,
    Understood,
    Work,
)
from realtime.recognition.recogniser import Job, NothingHeard, Transcript
from realtime.recognition.weights import Weights, WeightsMissing, find_weights

BEAT_S = 0.25
_NICE = 5

log = logging.getLogger("voiced.recognition")


class Sender:
    """Whole messages into a socket, from more than one thread."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, message: Outbound) -> None:
        """Wait until the message is written. Raises OSError when the other end is gone."""
        with self._lock:
            self._connection.sendall(packed(message))


class Recognising:
    """What the process does about each message."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._weights: Weights | None = None
        self._understand: Callable[[Job], Transcript] = _unloaded

    def apply(self, message: Inbound) -> None:
        """Take one message in, and answer it."""
        match message:
            case Prepare():
                self._prepare(message)
            case Load():
                assert self._weights is not None, "found before they are loaded"
                self._load(self._weights)
            case Work():
                self._sender.send(self._answer(message))

    def _prepare(self, asked: Prepare) -> None:
        if find_spec("ctranslate2") is None:
            self._sender.send(Failed("CTranslate2 is not installed: pip install 'voiced-server[ears]'."))
            return
        try:
            self._weights = find_weights(asked.setting, asked.model)
        except WeightsMissing as error:
            self._sender.send(Failed(str(error)))
            return
        self._sender.send(Found(self._weights.name, self._weights.languages))

    def _load(self, weights: Weights) -> None:
        try:
            # brings CTranslate2, for a while: by now the process beats, and what is broken about it can be told
            from realtime.recognition.decoding import Decoder
            from realtime.recognition.loaded import LoadedWhisper
            from realtime.recognition.vocabulary import Vocabulary

            model = LoadedWhisper(weights.folder)
            vocabulary = Vocabulary(weights.folder / "tokenizer.json", multilingual=model.multilingual)
            self._understand = Decoder(model, vocabulary).understand
        except Exception as error:  # the boundary of the process: raised on, it would be started again for ever
            log.exception("weights cannot be loaded")
            reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
            self._sender.send(Failed(f"{weights.name} cannot be loaded from {weights.folder}: {reason}."))
            return
        gc.collect()
        gc.freeze()
        self._sender.send(Loaded())

    def _answer(self, work: Work) -> Outbound:
        try:
            return Understood(work.number, self._understand(work.job))
        except NothingHeard as nothing:
            return NotUnderstood(work.number, str(nothing), nothing=True)
        except Exception:  # the boundary of this job: the next one may be fine
            log.exception("a job failed")
            return NotUnderstood(work.number, "The recogniser failed on this audio; the log says more.", nothing=False)


def _unloaded(_: Job) -> Transcript:
    raise RuntimeError("a job before the weights are loaded")


def _beat(sender: Sender, over: threading.Event) -> None:
    """Say that the process is there, from a thread of its own: CTranslate2 lets go of the interpreter."""
    while not over.wait(BEAT_S):
        try:
            sender.send(Alive())
        except OSError:  # the gateway is gone, and the main thread finds that out
            return


def serve(connection: socket.socket) -> None:
    """Work for ever. Raises EOFError, or another error of the connection, when the other end is gone."""
    inbox, sender, over = Inbox(connection), Sender(connection), threading.Event()
    recognising, decoder = Recognising(sender), msgspec.msgpack.Decoder(Inbound)
    threading.Thread(target=_beat, args=(sender, over), name="heartbeat", daemon=True).start()
    try:
        while True:
            inbox.wait(None)
            for body in inbox.receive():
                recognising.apply(decoder.decode(body))
    finally:
        over.set()


def main() -> None:
    """Entry point of the process, which is born with these signals blocked."""
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    os.nice(_NICE)
    gone = contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError)  # the gateway's end: then we end too
    with socket.socket(fileno=int(sys.argv[1])) as connection, gone:
        serve(connection)


if __name__ == "__main__":
    main()

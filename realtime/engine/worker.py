"""Runs the engine in its own process: an inbox, the step loop, one message back per step, and a beat that says it runs.

It is started as `python -m realtime.engine.worker FD` with one end of a socket pair; nothing on it is pickled. It
leaves when the other end closes, and ignores the terminal's signals: the gateway decides when it ends.
"""

from __future__ import annotations

import contextlib
import gc
import signal
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING

import msgspec

from realtime.engine.failures import load_failure
from realtime.engine.heartbeat import Heartbeat
from realtime.engine.messages import (
    Cancel,
    DropContext,
    EngineConfig,
    ForgetVoice,
    Hold,
    Inbound,
    LoadFailed,
    Loading,
    Outbound,
    RegisterVoice,
    Shutdown,
)
from realtime.framing import Inbox, packed
from realtime.request import Speak

if TYPE_CHECKING:
    from realtime.engine.engine import Engine

_CLIPS_POLL_S = 0.01
"""How often to look whether a voice is ready, while one is being encoded."""


def apply(engine: Engine, message: Inbound, now: float) -> None:
    """Hand one message to the engine. Raises EOFError for `Shutdown`."""
    match message:
        case Speak():
            engine.submit(message, now)
        case Cancel():
            engine.cancel(message.request_id)
        case Hold():
            engine.hold(message.request_id, message.held)
        case DropContext():
            engine.drop_context(message.context_id)
        case RegisterVoice():
            engine.clips.begin(message)
        case ForgetVoice():
            engine.clips.forget(message.name)
        case Shutdown():
            raise EOFError


class Sender:
    """Writes whole messages into a socket, from more than one thread."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, message: Outbound) -> None:
        """Wait until the message is written. Raises OSError when the other end is gone."""
        with self._lock:
            self._connection.sendall(packed(message))


def serve(connection: socket.socket) -> None:
    """Load what the first message asks for, then step for ever.

    Returns when it cannot load; raises EOFError or OSError when the other end is gone.
    """
    inbox, sender = Inbox(connection), Sender(connection)
    heartbeat = Heartbeat(sender.send)
    try:
        config: EngineConfig | None = None
        while config is None:
            inbox.wait(None)
            for body in inbox.receive():
                config = msgspec.msgpack.decode(body, type=EngineConfig)
        engine = load(config, sender)
        if engine is not None:
            run(engine, inbox, sender, heartbeat)
    finally:
        heartbeat.stop()


def load(config: EngineConfig, sender: Sender) -> Engine | None:
    """Load an engine and tell the gateway that it is ready; return None after telling it why there is none."""
    stage = "starting"

    def progress(reached: str) -> None:
        nonlocal stage
        stage = reached
        sender.send(Loading(stage))

    try:
        # These imports bring torch and take seconds. They stand here since by now the worker beats, and can tell the
        # gateway if they fail.
        from realtime.engine.load import load_engine
        from realtime.text import front_end

        engine, info = load_engine(config, front_end, progress)
    except Exception as error:  # the boundary of the process: if it died of this, it would be started again
        sender.send(LoadFailed(load_failure(error, stage)))
        return None
    # what is loaded stays until the end: keep the garbage collector from walking it between two steps
    gc.collect()
    gc.freeze()
    sender.send(info)
    return engine


def run(engine: Engine, inbox: Inbox, sender: Sender, heartbeat: Heartbeat) -> None:
    """Step for ever: messages in, one message per step out."""
    decoder = msgspec.msgpack.Decoder(Inbound)
    told = engine.gauges()
    while True:
        wake_at = engine.wake_at(time.monotonic())
        wait = None if wake_at is None else max(0.0, wake_at - time.monotonic())
        if engine.clips.registering:
            wait = _CLIPS_POLL_S if wait is None else min(wait, _CLIPS_POLL_S)
        readable = inbox.wait(wait)
        with heartbeat.step():
            if readable:
                for body in inbox.receive():
                    apply(engine, decoder.decode(body), time.monotonic())
            answers = engine.clips.settled()
            output = engine.step(time.monotonic())
        for answer in answers:
            sender.send(answer)
        if output.events or (output.gauges != told and engine.wake_at(time.monotonic()) is None):
            told = output.gauges
            sender.send(output)


def main() -> None:
    """Run the process, which is born with the terminal's signals blocked."""
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    gone = contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError)  # the gateway has gone: so do we
    with socket.socket(fileno=int(sys.argv[1])) as connection, gone:
        serve(connection)


if __name__ == "__main__":
    main()

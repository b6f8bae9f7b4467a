"""The engine's own process: an inbox, the step loop, one message back per step.

Started as `python -m realtime.engine.worker FD` with one end of a socket pair; nothing on it is pickled. It leaves when
the other end closes, and ignores the terminal's signals: the gateway decides when it ends.
"""

from __future__ import annotations

import contextlib
import gc
import signal
import socket
import sys
import time

import msgspec

from realtime.engine.engine import Engine
from realtime.engine.failures import load_failure
from realtime.engine.load import load_engine
from realtime.engine.messages import (
    Cancel,
    DropContext,
    EngineConfig,
    ForgetVoice,
    Hold,
    Inbound,
    LoadFailed,
    Loading,
    RegisterVoice,
    Shutdown,
)
from realtime.framing import Inbox, packed
from realtime.request import Speak
from realtime.text import front_end

_CLIPS_POLL_S = 0.01
"""How often to look whether a voice is encoded, while one is."""


def apply(engine: Engine, message: Inbound, now: float) -> None:
    """Hand one message to the engine."""
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


def serve(connection: socket.socket) -> None:
    """Load as told by the first message, then step for ever. Returns when the other end is gone."""
    inbox = Inbox(connection)
    config: EngineConfig | None = None
    while config is None:
        inbox.wait(None)
        for body in inbox.receive():
            config = msgspec.msgpack.decode(body, type=EngineConfig)

    stage = "starting"

    def progress(reached: str) -> None:
        nonlocal stage
        stage = reached
        connection.sendall(packed(Loading(stage)))

    try:
        engine, info = load_engine(config, front_end, progress)
    except Exception as error:  # the boundary of the process: raised on, it would be started again for ever
        connection.sendall(packed(LoadFailed(load_failure(error, stage))))
        return
    # what is loaded stays: keep the collector from walking it between two steps
    gc.collect()
    gc.freeze()
    connection.sendall(packed(info))

    decoder = msgspec.msgpack.Decoder(Inbound)
    told = engine.gauges()
    while True:
        wake_at = engine.wake_at(time.monotonic())
        wait = None if wake_at is None else max(0.0, wake_at - time.monotonic())
        if engine.clips.registering:
            wait = _CLIPS_POLL_S if wait is None else min(wait, _CLIPS_POLL_S)
        if inbox.wait(wait):
            for body in inbox.receive():
                apply(engine, decoder.decode(body), time.monotonic())
        for answer in engine.clips.settled():
            connection.sendall(packed(answer))
        output = engine.step(time.monotonic())
        if output.events or (output.gauges != told and engine.wake_at(time.monotonic()) is None):
            told = output.gauges
            connection.sendall(packed(output))


def main() -> None:
    """Entry point of the process, which is born with these signals blocked."""
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    gone = contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError)  # the gateway's end: then we end too
    with socket.socket(fileno=int(sys.argv[1])) as connection, gone:
        serve(connection)


if __name__ == "__main__":
    main()

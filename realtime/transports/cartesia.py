"""Serves Cartesia's protocol at `/tts/websocket`, as a `Wire`.

Each context is a response out of band whose words are a text stream of the session. `Contexts` keeps which belongs to
which.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import msgspec
from msgspec import UNSET
from starlette.websockets import WebSocket

from protocol.cartesia import (
    Answer,
    Cancel,
    Chunk,
    Done,
    Failure,
    FlushDone,
    Generate,
    Timestamps,
    WordTimes,
    decode_message,
    misplaced,
)
from protocol.client_events import (
    ClientEvent,
    InputTextAppend,
    InputTextEnd,
    InputTextFlush,
    ResponseCancel,
    ResponseCreate,
)
from protocol.encodings import BadMessage
from protocol.errors import Refused
from protocol.faults import refused
from protocol.objects import AudioOutput, ErrorBody, Generation, Response, ResponseConfig, ResponseError, SessionAudio
from protocol.server_events import (
    AudioDelta,
    Error,
    InputTextFlushed,
    ResponseCreated,
    ResponseDone,
    ServerEvent,
    TranscriptDelta,
)
from realtime.agent.brain import Reader
from realtime.http.client_socket import ClientSocket
from realtime.http.handshake import admitted
from realtime.session.settings import ITEM_VOICE, Runtime, check_voice
from realtime.session.shared import Limits
from realtime.shell.sessions import Sessions

_MAX_MESSAGE_BYTES = 256 * 1024
_MAX_LEAD_S = 60.0
"""Bounds the speech made ahead of the listener. Clients of this protocol play from a buffer of their own, and send
words long before they are heard."""

_FAILED_REMEMBERED = 256
_STREAM = "stream"
_STATUS = {"overloaded": 429, "too_many_contexts": 429, "engine_failed": 503, "server_draining": 503}


@dataclass
class Context:
    """Holds one utterance under way.

    `stream` is the session's name for its words. `flushes` counts the flushes that were spoken. `told_at` is when its
    last chunk left, in monotonic seconds. `ended` says that the client has no more words for it.
    """

    first: Generate
    stream: str
    told_at: float
    response_id: str | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)  # set once the session made a response, or refused to
    flushes: int = 0
    ended: bool = False

    @property
    def id(self) -> str:
        """Return the client's name for the context."""
        return self.first.context_id


class Contexts:
    """Keeps the contexts of one connection, at most as many as the session holds responses out of band.

    A context is kept from its first message until its done, its error or its cancellation.
    """

    def __init__(self, runtime: Runtime, limits: Limits) -> None:
        self._runtime = runtime
        self._most = limits.max_out_of_band
        self._live: dict[str, Context] = {}
        self._failed: dict[str, None] = {}
        self._opened = 0

    def named(self, context_id: str) -> Context | None:
        """Return the context that the client calls `context_id`, or None."""
        return self._live.get(context_id)

    def of_stream(self, stream: str | None) -> Context | None:
        """Return the context whose words are this text stream of the session, or None."""
        return next((context for context in self._live.values() if context.stream == stream), None)

    def of_response(self, response_id: str) -> Context | None:
        """Return the context that this response speaks, or None."""
        return next((context for context in self._live.values() if context.response_id == response_id), None)

    def open(self, asked: Generate, now: float) -> Context | ErrorBody:
        """Open a context as its first message asks for it, or return the error that says why it cannot be opened.

        `now` is monotonic seconds.
        """
        fault = self._fault(asked)
        if fault is not None:
            return fault
        self._opened += 1
        # clients reuse names: with a stream of its own, late words for one context never reach the next of that name
        context = Context(asked, f"{_STREAM}_{self._opened}", now)
        self._live[context.id] = context
        return context

    def close(self, context: Context, *, failed: bool = False) -> None:
        """Forget a context: nothing more is sent for it.

        If it failed before its client was done with it, further messages for it are refused.
        """
        self._live.pop(context.id, None)
        if failed and not context.ended:
            self._failed[context.id] = None
            while len(self._failed) > _FAILED_REMEMBERED:
                del self._failed[next(iter(self._failed))]

    def release(self, context_id: str) -> None:
        """Free the name of a context that failed, since its client is done with it."""
        self._failed.pop(context_id, None)

    def _fault(self, asked: Generate) -> ErrorBody | None:
        if asked.context_id in self._failed:
            fault = "This context has failed; use another context_id, or end this one with continue false."
            return refused("context_failed", fault, "context_id", asked.context_id)
        if len(self._live) >= self._most:
            fault = f"{self._most} contexts are under way on this connection; wait for one to be done."
            return refused("too_many_contexts", fault, "context_id", asked.context_id)
        name = asked.voice_name
        if name is None:
            return None
        if name.startswith(ITEM_VOICE):
            fault = "There is no conversation here to take a voice from; GET /v1/audio/voices lists the voices."
            return refused("invalid_value", fault, "voice.id", asked.context_id)
        try:
            check_voice(name, self._runtime, "voice.id")
        except Refused as unknown:
            return refused(unknown.code, str(unknown), unknown.param, asked.context_id)
        return None


class CartesiaWire:
    """Carries one connection as a `Wire`.

    Every context ends with one `done` or one `error`; a cancelled one ends without a word.
    """

    def __init__(self, socket: ClientSocket, runtime: Runtime, limits: Limits) -> None:
        self._socket = socket
        self._contexts = Contexts(runtime, limits)
        self._inbox: asyncio.Queue[ClientEvent | None] = asyncio.Queue()

    @property
    def stalled(self) -> bool:
        return self._socket.stalled

    async def close(self, code: int, reason: str) -> None:
        await self._socket.close(code, reason)

    async def incoming(self) -> AsyncIterator[ClientEvent | BadMessage]:
        listening = asyncio.create_task(self._listen())
        try:
            while (event := await self._inbox.get()) is not None:
                yield event
                self._inbox.task_done()
        finally:
            listening.cancel()

    async def _listen(self) -> None:
        """Take in what the client sends, one message at a time. Events of the wire's own may come in between."""
        try:
            async for data in self._socket.incoming():
                for event in await self._taken(data):
                    self._inbox.put_nowait(event)
                await self._inbox.join()
        finally:
            self._inbox.put_nowait(None)

    async def _taken(self, data: bytes) -> list[ClientEvent]:
        """Return the events that a message becomes for the session. A message that is refused ends its context."""
        try:
            message = _decoded(data)
        except BadMessage as bad:
            return await self._refuse(bad.body)
        context = self._contexts.named(message.context_id)
        if isinstance(message, Cancel):
            self._contexts.release(message.context_id)
            return [] if context is None else await self._stopped(context)
        told: list[ClientEvent] = []
        if context is None:
            opened = self._contexts.open(message, time.monotonic())
            if not message.more:
                self._contexts.release(message.context_id)
            if isinstance(opened, ErrorBody):
                return await self._refuse(opened)
            context = opened
            told.append(ResponseCreate(event_id=context.stream, response=_response(context)))
        elif (fault := misplaced(context.first, message, ended=context.ended)) is not None:
            return await self._refuse(fault)
        if message.transcript:
            told.append(InputTextAppend(event_id=context.stream, stream=context.stream, text=message.transcript))
        if message.flushes:
            told.append(InputTextFlush(event_id=context.stream, stream=context.stream))
        if not message.more:
            context.ended = True
            told.append(InputTextEnd(event_id=context.stream, stream=context.stream))
        return told

    async def _refuse(self, fault: ErrorBody) -> list[ClientEvent]:
        """Tell the client what is wrong with a message, and stop its context if there is one.

        This does not go through the session's outbox: a client that sends nonsense faster than it reads the answers has
        to wait.
        """
        context = self._contexts.named(fault.event_id or "")
        stop = [] if context is None else await self._stopped(context, failed=True)
        with contextlib.suppress(ConnectionError):  # reading the next message will tell that the client has left
            await self._socket.send(msgspec.json.encode(_failure(fault.event_id, fault)))
        return stop

    async def _stopped(self, context: Context, *, failed: bool = False) -> list[ClientEvent]:
        """Stop a context; nothing more is sent for it."""
        await context.begun.wait()
        if self._contexts.named(context.id) is not context or context.response_id is None:
            return []  # it ended while we waited
        self._contexts.close(context, failed=failed)
        return [ResponseCancel(response_id=context.response_id)]

    async def send(self, event: ServerEvent) -> None:
        answer = self._answer(event)
        if answer is not None:
            await self._socket.send(msgspec.json.encode(answer))

    def _answer(self, event: ServerEvent) -> Answer | None:
        """Return the message that an event of the session becomes, if it becomes one."""
        match event:
            case ResponseCreated():
                self._begin(event.response)
            case AudioDelta():
                if (context := self._contexts.of_response(event.response_id)) is not None:
                    return _chunk(context, event)
            case TranscriptDelta():
                if (context := self._contexts.of_response(event.response_id)) is not None:
                    return _timestamps(context, event)
            case InputTextFlushed():
                if (context := self._contexts.of_stream(event.stream)) is not None:
                    context.flushes += 1
                    return FlushDone(context.id, context.flushes)
            case ResponseDone():
                if (context := self._contexts.of_response(event.response.id)) is not None:
                    return self._end(context, event.response)
            case Error():
                if (context := self._contexts.of_stream(event.error.event_id)) is not None:
                    self._contexts.close(context, failed=True)
                    context.begun.set()
                    if context.response_id is not None:  # it failed while it was spoken: the rest must not be
                        self._inbox.put_nowait(ResponseCancel(response_id=context.response_id))
                    return _failure(context.id, event.error)
        return None

    def _begin(self, response: Response) -> None:
        context = self._contexts.of_stream((response.metadata or {}).get(_STREAM))
        if context is not None:
            context.response_id = response.id
            context.begun.set()

    def _end(self, context: Context, response: Response) -> Answer:
        completed = response.status in ("completed", "incomplete")
        self._contexts.close(context, failed=not completed)
        if completed:
            return Done(context.id)
        details = response.status_details
        if details is not None and isinstance(details.error, ResponseError):
            return _failure(context.id, refused(details.error.code, details.error.message, None))
        return _failure(context.id, refused("server_draining", "The server ended the session; connect again.", None))


class CartesiaRoutes:
    """Serves `/tts/websocket`."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def connect(self, websocket: WebSocket) -> None:
        """Serve one connection to its end."""
        place = await admitted(websocket, self._sessions)
        if place is None:
            return
        with place:
            await websocket.accept()
            socket = ClientSocket(websocket)
            wire = CartesiaWire(socket, place.runtime, self._sessions.limits)
            shell = self._sessions.begin(place, wire, Reader(), "cartesia", socket.drain)
            await self._sessions.run(place, shell)


def _decoded(data: bytes) -> Generate | Cancel:
    if len(data) > _MAX_MESSAGE_BYTES:
        fault = f"The message has {len(data)} bytes; it may have {_MAX_MESSAGE_BYTES}."
        raise BadMessage(refused("message_too_large", fault, None))
    return decode_message(data)


def _response(context: Context) -> ResponseConfig:
    """Ask for the response that speaks a context."""
    asked = context.first
    output = AudioOutput(
        format=asked.raw_format,
        voice=UNSET if asked.voice_name is None else asked.voice_name,
        speed=asked.speaking_rate,
    )
    scene = f"The speaker sounds {asked.emotion}." if asked.emotion not in ("", "neutral") else UNSET
    return ResponseConfig(
        conversation="none",
        instructions=scene,
        metadata={_STREAM: context.stream},
        audio=SessionAudio(output=output),
        voiced=Generation(
            text_stream=context.stream,
            text_patience_s=UNSET if asked.patience_s is None else asked.patience_s,
            paced=True,
            max_lead_s=_MAX_LEAD_S,
        ),
    )


def _chunk(context: Context, event: AudioDelta) -> Chunk:
    now = time.monotonic()
    took_ms = round((now - context.told_at) * 1000, 3)
    context.told_at = now
    return Chunk(context.id, event.delta, took_ms, context.flushes + 1)


def _timestamps(context: Context, event: TranscriptDelta) -> Timestamps | None:
    """Return when a word is said, without the space around it; None if the client did not ask, or there is no word."""
    word = event.delta.strip()
    if not context.first.add_timestamps or not word or event.start_time is UNSET or event.end_time is UNSET:
        return None
    return Timestamps(context.id, WordTimes([word], [event.start_time], [event.end_time]), context.flushes + 1)


def _failure(context_id: str | None, error: ErrorBody) -> Failure:
    title = error.code.replace("_", " ").capitalize()
    return Failure(context_id, error.code, title, error.message, _STATUS.get(error.code, 400), error.param)

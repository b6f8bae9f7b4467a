"""Serves `/v1/audio/speech`: text in, a sound file out, sent while it is spoken.

A request is a session on a wire of its own. It asks for one response out of band, and that response's events become the
body of the answer. What goes wrong before the first audio is answered as an error. After it the transfer is broken off,
so that nobody takes half a file for a whole one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from msgspec import UNSET
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from codec_stream.containers import ContainerEncoder
from protocol.client_events import ClientEvent, ResponseCreate
from protocol.encodings import BadMessage
from protocol.errors import Refused
from protocol.objects import (
    AudioOutput,
    Generation,
    InputText,
    NewMessage,
    Response,
    ResponseConfig,
    ResponseError,
    SessionAudio,
    Usage,
)
from protocol.server_events import AudioDelta, Error, ResponseDone, ServerEvent
from protocol.speech import (
    SpeechAudioDelta,
    SpeechAudioDone,
    SpeechRequest,
    SpeechUsage,
    decode_speech_request,
    server_sent,
)
from realtime.agent.brain import Reader
from realtime.http.access_middleware import grant_of
from realtime.http.http_connection import http_connection_of
from realtime.http.streamed_response import StreamedResponse
from realtime.session.settings import ITEM_VOICE, Runtime, check_voice
from realtime.shell.sessions import Sessions, ready

log = logging.getLogger("voiced.speech")

STALL_S = 15.0
"""A client that takes nothing for this long is dropped. It is long since clients that play while they read take the
file in gulps, which lie far apart where a second of sound is few bytes."""

_MAX_LEAD_S = 60.0
"""Bounds the speech made ahead of the listener. It is high, so that a client that wants the whole file gets it as fast
as it can be made without making other listeners wait."""

_RETRY_S = 2


class SpeechFileRoute:
    """Serves `/v1/audio/speech` as an ASGI application; every request is a session."""

    def __init__(self, sessions: Sessions, stall_s: float = STALL_S) -> None:
        """Drop a client that takes nothing for `stall_s` seconds."""
        self._sessions = sessions
        self._stall_s = stall_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises Refused for what is wrong with it or with the moment."""
        request = Request(scope, receive)
        try:
            asked = decode_speech_request(await request.body())
        except BadMessage as bad:
            raise Refused(bad.body.code, bad.body.message, bad.body.param) from None
        except ClientDisconnect:
            return
        with self._sessions.admit(grant_of(request).name) as place:
            _check_voice(asked.voice_name, place.runtime)
            response = StreamedResponse(scope, receive, send, self._stall_s)
            wire = SpeechWire(asked, place.runtime, response)
            connection = http_connection_of(scope)
            drain = asyncio.Event() if connection is None else connection.drain
            await self._sessions.run(place, self._sessions.begin(place, wire, Reader(), "speech", drain))
        if wire.refused is not None:
            ready(self._sessions.engine)  # if the engine is gone, this raises that as the reason
            raise wire.refused


class SpeechWire:
    """Carries one request and its answer, as a `Wire`.

    `refused` is the error that it ended with before anything was sent, or None.
    """

    stalled = False  # a slow client makes `send` wait, and the session's outbox fills up behind it

    def __init__(self, asked: SpeechRequest, runtime: Runtime, response: StreamedResponse) -> None:
        self._asked = asked
        self._response = response
        self._encoder = ContainerEncoder(asked.sound_format, runtime.sample_rate)
        self._as_events = asked.stream_format == "sse"
        self._checkpoint = runtime.checkpoint
        self.refused: Refused | None = None

    async def incoming(self) -> AsyncIterator[ClientEvent | BadMessage]:
        yield ResponseCreate(response=_response(self._asked))
        await self._response.over()

    async def send(self, event: ServerEvent) -> None:
        match event:
            case AudioDelta():
                await self._deliver(self._encoder.push(event.delta))
            case ResponseDone(response=Response(status="completed" | "incomplete")):
                await self._deliver(self._encoder.finish())
                await self._response.write(self._farewell(event.response.usage), last=True)
            case ResponseDone():
                self._fail(_reason(event.response))
            case Error():
                self._fail(ResponseError(event.error.type, event.error.code, event.error.message))

    async def close(self, code: int, reason: str) -> None:
        if not self._response.begun:
            self.refused = Refused("server_draining", reason, retry_after_s=_RETRY_S)

    async def _deliver(self, data: bytes) -> None:
        """Send audio. The head goes out with the first of it, since only then is a success certain."""
        if not self._response.begun:
            await self._response.begin(self._headers())
        if data:
            await self._response.write(server_sent(SpeechAudioDelta(data)) if self._as_events else data)

    def _headers(self) -> dict[str, str]:
        return {
            "content-type": "text/event-stream" if self._as_events else self._encoder.media_type,
            "cache-control": "no-store",
            "x-accel-buffering": "no",  # a proxy that collects the whole file would make everybody wait
            "x-voiced-checkpoint": self._checkpoint.encode("ascii", "backslashreplace").decode(),
        }

    def _farewell(self, usage: Usage | None) -> bytes:
        if not self._as_events or usage is None:
            return b""
        took = SpeechUsage(usage.input_tokens, usage.output_tokens, usage.total_tokens)
        return server_sent(SpeechAudioDone(took))

    def _fail(self, error: ResponseError) -> None:
        """End without success. Raises ConnectionError, since there is nothing more to send."""
        if self._response.begun:
            log.warning("a sound file breaks off: %s", error.message)
        else:
            self.refused = _refusal(error)
        raise ConnectionError("the speech failed")


def _check_voice(name: str | None, runtime: Runtime) -> None:
    if name is None:
        return
    if name.startswith(ITEM_VOICE):
        message = "There is no conversation here to take a voice from; GET /v1/audio/voices lists the voices."
        raise Refused("invalid_value", message, "voice")
    check_voice(name, runtime, "voice")


def _response(asked: SpeechRequest) -> ResponseConfig:
    """Ask for the response that speaks the request."""
    output = AudioOutput(
        voice=UNSET if asked.voice_name is None else asked.voice_name,
        speed=UNSET if asked.speed is None else asked.speed,
    )
    seed = UNSET if asked.seed is None else asked.seed
    return ResponseConfig(
        conversation="none",
        input=[NewMessage("user", [InputText(asked.input)])],
        instructions=asked.instructions or UNSET,
        audio=SessionAudio(output=output),
        voiced=Generation(paced=True, max_lead_s=_MAX_LEAD_S, seed=seed),
    )


def _reason(response: Response) -> ResponseError:
    """Return why a response did not end by itself."""
    details = response.status_details
    if details is not None and isinstance(details.error, ResponseError):
        return details.error
    return ResponseError("server_error", "server_draining", "The server ended the session; try again.")


def _refusal(error: ResponseError) -> Refused:
    """Word an error of the session as HTTP does."""
    match error.code:
        case "overloaded":
            message = f"{error.message.rstrip('.')}; try again shortly."
            return Refused("overloaded", message, retry_after_s=_RETRY_S)
        case "server_draining" | "engine_failed":
            return Refused(error.code, error.message, retry_after_s=_RETRY_S)
    return Refused(error.code, error.message, "input")

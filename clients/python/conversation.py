"""Holds a conversation with voiced over WebSocket, and any number of responses beside it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any

import msgspec
import websockets
from msgspec import UNSET
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as ws_connect
from websockets.typing import Subprotocol

from clients.python.turn import Turn, say_aloud
from protocol.client_events import (
    ClientEvent,
    InputTextAppend,
    InputTextEnd,
    InputTextFlush,
    ItemCreate,
    ItemRetrieve,
    ItemTruncate,
    ResponseCancel,
    ResponseCreate,
    SessionUpdate,
)
from protocol.encodings import JSON, MSGPACK, Encoding
from protocol.objects import (
    AudioInput,
    AudioOutput,
    Content,
    Generation,
    InputText,
    Item,
    MessageItem,
    NewMessage,
    OutputAudio,
    Response,
    ResponseConfig,
    ServerVad,
    Session,
    SessionAudio,
    SessionConfig,
    Transcription,
)
from protocol.server_events import (
    AudioDelta,
    Error,
    ItemAdded,
    ItemRetrieved,
    OutputItemAdded,
    ResponseCreated,
    ResponseDone,
    ServerEvent,
    SessionCreated,
    SessionUpdated,
    TranscriptDelta,
)

SAMPLE_RATE = 24000
_MAX_EVENT_BYTES = 16 * 1024 * 1024


class VoicedError(Exception):
    """Says that the server refused something, or that the conversation ended; `code` is the protocol's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Speech:
    """Follows one response while it is spoken. Iterate it for PCM (16-bit mono, 24 kHz).

    `response` is set at its end. `transcript` grows with what is said; once the speech is over or interrupted, it is
    what the conversation keeps. `asked_at` and `first_audio_at` are monotonic seconds. `gaps_s` are the silences in its
    middle that a listener heard, in seconds. Iterating raises VoicedError if the connection ends before the response
    does.
    """

    conversation: Conversation
    response_id: str
    stream: str | None = None
    aside: bool = False
    item_id: str = ""
    response: Response | None = None
    transcript: str = ""
    samples: int = 0
    asked_at: float = 0.0
    first_audio_at: float | None = None
    gaps_s: list[float] = field(default_factory=list)
    _chunks: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    _dry_at: float = 0.0
    _interrupted: bool = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[bytes]:
        while (chunk := await self._chunks.get()) is not None:
            if not self._interrupted:
                yield chunk
        if self.response is None:
            raise VoicedError("connection_lost", "The connection ended before the response was complete.")

    async def read(self) -> bytes:
        """Return all PCM of the response. Raises VoicedError if the connection ends before the response does."""
        return b"".join([chunk async for chunk in self])

    async def append(self, text: str) -> None:
        """Add words to a response that was begun with `Conversation.stream`. Raises ValueError for any other."""
        await self.conversation.send(InputTextAppend(text=text, stream=self._stream_name()))

    async def flush(self) -> None:
        """Have the words so far spoken without waiting for the end of their sentence."""
        await self.conversation.send(InputTextFlush(stream=self._stream_name()))

    async def end(self) -> None:
        """Say that there are no more words."""
        await self.conversation.send(InputTextEnd(stream=self._stream_name()))

    def _stream_name(self) -> str:
        if self.stream is None:
            raise ValueError("this response was given all its words; begin one with Conversation.stream to add to it")
        return self.stream

    async def interrupt(self, heard_ms: int | None = None) -> None:
        """Stop speaking: no more PCM is handed out, and `transcript` is cut to what was heard. Raises VoicedError.

        `heard_ms` says how much was played; by default, what could have been played by now.
        """
        self._interrupted = True
        if self.response is None:
            await self.conversation.send(ResponseCancel(response_id=self.response_id))
        if heard_ms is None:
            heard_ms = self.played_ms(time.monotonic())
        if self.item_id and not self.aside:
            await self.conversation.send(ItemTruncate(item_id=self.item_id, audio_end_ms=heard_ms))
            self.transcript = _words(await self.conversation.retrieve(self.item_id))

    def played_ms(self, now: float) -> int:
        """Return how many milliseconds a player that started with the first audio has played by `now` (monotonic
        seconds).
        """
        if self.first_audio_at is None:
            return 0
        left = max(0.0, self._dry_at - now)
        return max(0, round(self.samples * 1000 / SAMPLE_RATE - left * 1000))

    def _take(self, event: OutputItemAdded | AudioDelta | TranscriptDelta, now: float) -> None:
        match event:
            case OutputItemAdded() if isinstance(event.item, MessageItem):
                self.item_id = event.item.id
            case AudioDelta():
                self._arrived(event.delta, now)
            case TranscriptDelta():
                self.transcript += event.delta

    def _arrived(self, pcm: bytes, now: float) -> None:
        if self.first_audio_at is None:
            self.first_audio_at = now
        elif now > self._dry_at:
            self.gaps_s.append(now - self._dry_at)
        self._dry_at = max(self._dry_at, now) + len(pcm) / 2 / SAMPLE_RATE
        self.samples += len(pcm) // 2
        self._chunks.put_nowait(pcm)

    def _done(self, response: Response) -> None:
        self.response = response
        self.transcript = "".join(map(_words, response.output))  # the response has only what was heard of it
        self._end()

    def _end(self) -> None:
        self._chunks.put_nowait(None)


class Conversation:
    """Holds an open conversation. `session` is the effective session as the server last told it.

    `errors` are all errors that the server has sent.
    """

    def __init__(self, connection: ClientConnection, encoding: Encoding) -> None:
        self._connection = connection
        self._encoding = encoding
        self._speeches: dict[str, Speech] = {}  # those under way, by response
        self._streams = 0
        self._expecting: asyncio.Future[Any] | None = None
        self._expected: type[ServerEvent] | None = None
        self._asked = 0
        self._lock = asyncio.Lock()
        self._turn: Turn | None = None  # what is being said, or answered
        self.session: Session | None = None
        self.errors: list[Error] = []

    async def say(
        self,
        text: str,
        *,
        instructions: str | None = None,
        voice: str | None = None,
        generation: Generation | None = None,
        aside: bool = False,
    ) -> Speech:
        """Ask for `text` to be spoken; return once the server has begun.

        The other settings are for this response alone; `aside` speaks out of band, beside the conversation. Raises
        VoicedError if the server refuses.
        """
        asked_at = time.monotonic()
        config = _overrides(instructions, voice, generation)
        if aside:
            message = NewMessage("user", [InputText(text)])
            config = msgspec.structs.replace(config, conversation="none", input=[message])
            return await self._begin(config, asked_at)
        await self.add("user", InputText(text))  # if it is refused, this raises, and nothing is spoken
        return await self._begin(config, asked_at)

    async def respond(
        self, *, instructions: str | None = None, voice: str | None = None, generation: Generation | None = None
    ) -> Speech:
        """Ask for a response to the conversation as it is. Raises VoicedError if the server refuses."""
        return await self._begin(_overrides(instructions, voice, generation), time.monotonic())

    async def stream(
        self,
        *,
        instructions: str | None = None,
        voice: str | None = None,
        generation: Generation | None = None,
        aside: bool = False,
    ) -> Speech:
        """Begin a response whose words are still to come: `append` them to the speech, then `end` it."""
        self._streams += 1
        name = f"stream_{self._streams}"
        named = msgspec.structs.replace(generation or Generation(), text_stream=name)
        config = _overrides(instructions, voice, named)
        if aside:
            config = msgspec.structs.replace(config, conversation="none")
        speech = await self._begin(config, time.monotonic())
        speech.stream = name
        return speech

    async def _begin(self, config: ResponseConfig, asked_at: float) -> Speech:
        speech: Speech = await self._ask(ResponseCreate(response=config), ResponseCreated)
        speech.asked_at, speech.aside = asked_at, config.conversation == "none"
        return speech

    async def add(self, role: str, *content: Content) -> None:
        """Add a message to the conversation. Raises VoicedError if the server refuses it."""
        await self._ask(ItemCreate(item=NewMessage(role, list(content))), ItemAdded)  # type: ignore[arg-type]

    async def retrieve(self, item_id: str) -> Item:
        """Return an item as the conversation keeps it. Raises VoicedError if there is none of this id."""
        retrieved = await self._ask(ItemRetrieve(item_id=item_id), ItemRetrieved)
        item: Item = retrieved.item
        return item

    async def add_reference(self, pcm: bytes, transcript: str) -> None:
        """Give a clip (16-bit mono PCM, 24 kHz) of the voice to speak with, and the words said in it."""
        await self.add("assistant", OutputAudio(transcript=transcript, audio=pcm))

    async def update(
        self,
        *,
        voice: str | None = None,
        instructions: str | None = None,
        generation: Generation | None = None,
    ) -> Session:
        """Change settings, and return the effective session. Raises VoicedError if the server refuses."""
        config = SessionConfig(
            instructions=UNSET if instructions is None else instructions,
            audio=UNSET if voice is None else SessionAudio(output=AudioOutput(voice=voice)),
            voiced=UNSET if generation is None else generation,
        )
        updated = await self._ask(SessionUpdate(session=config), SessionUpdated)
        session: Session = updated.session
        return session

    async def listen(self, *, silence_ms: int = 500) -> Session:
        """Have the server listen to what is said with `speak`: a turn is over after `silence_ms` of silence, its words
        are told, and it is answered where the server's brain understands it. Returns the effective session."""
        listening = AudioInput(
            turn_detection=ServerVad(silence_duration_ms=silence_ms), transcription=Transcription(model="whisper-1")
        )
        updated = await self._ask(SessionUpdate(session=SessionConfig(audio=SessionAudio(listening))), SessionUpdated)
        session: Session = updated.session
        return session

    async def speak(self, pcm: bytes, *, answer_s: float = 60.0) -> Turn:
        """Say something aloud (16-bit mono PCM, 24 kHz) in real time; returns when the answer has come whole, or when
        there is none after `answer_s` seconds. `listen` is to be asked for first."""
        turn = self._turn = Turn()
        try:
            async with asyncio.timeout(len(pcm) / 2 / SAMPLE_RATE + answer_s):
                await say_aloud(turn, pcm, self.send)
                if not self._is_answered:
                    await self.send(ResponseCreate())
                await turn.over()
        except TimeoutError:
            turn.trouble = turn.trouble or f"No answer came within {answer_s:g} s."
        finally:
            self._turn = None
        return turn

    @property
    def _is_answered(self) -> bool:
        """Whether the server answers a turn by itself."""
        detection = None if self.session is None else self.session.audio.input.turn_detection
        return detection is not None and detection.create_response is True

    async def send(self, event: ClientEvent) -> None:
        """Send any client event. Raises VoicedError if the connection is closed."""
        data = self._encoding.encode(event)
        try:
            await self._connection.send(data if self._encoding.binary else data.decode())
        except websockets.ConnectionClosed as error:
            raise VoicedError("connection_lost", f"The connection was closed: {error}.") from error

    async def _ask(self, event: ClientEvent, answer: type[Any]) -> Any:
        """Send an event and return its answer: an event, or for a new response the speech.

        Raises VoicedError for an error about it.
        """
        async with self._lock:
            self._asked += 1
            self._expected, self._expecting = answer, asyncio.get_running_loop().create_future()
            try:
                await self.send(msgspec.structs.replace(event, event_id=f"ask_{self._asked}"))
                return await self._expecting
            finally:
                self._expected = self._expecting = None

    async def _read(self) -> None:
        reason: Exception = VoicedError("connection_lost", "The connection was closed.")
        try:
            async for data in self._connection:
                raw = data.encode() if isinstance(data, str) else data
                self._take(self._encoding.decode_server(raw))
        except websockets.ConnectionClosed as error:
            reason = VoicedError("connection_lost", f"The connection was closed: {error}.")
        finally:
            if self._expecting is not None and not self._expecting.done():
                self._expecting.set_exception(reason)
            for speech in self._speeches.values():
                speech._end()

    def _take(self, event: ServerEvent) -> None:
        answer: ServerEvent | Speech = event
        if isinstance(event, (SessionCreated, SessionUpdated)):
            self.session = event.session
        elif isinstance(event, ResponseCreated):
            # made here and not by the caller who asked: the response may be over before that caller runs again
            answer = self._speeches[event.response.id] = Speech(self, event.response.id)
        elif isinstance(event, Error):
            self.errors.append(event)
            mine = event.error.event_id == f"ask_{self._asked}"
            if mine and self._expecting is not None and not self._expecting.done():
                self._expecting.set_exception(VoicedError(event.error.code, event.error.message))
            return
        elif isinstance(event, ResponseDone):
            self._speeches.pop(event.response.id)._done(event.response)
        elif isinstance(event, (OutputItemAdded, AudioDelta, TranscriptDelta)):
            self._speeches[event.response_id]._take(event, time.monotonic())
        if self._turn is not None:
            if isinstance(answer, Speech):
                self._turn.begin_answer(answer)
            else:
                self._turn.take(event, time.monotonic())
        if self._expecting is not None and not self._expecting.done() and isinstance(event, self._expected or ()):
            self._expecting.set_result(answer)


@contextlib.asynccontextmanager
async def connect(
    url: str = "ws://127.0.0.1:8080/v1/realtime",
    *,
    voice: str | None = None,
    instructions: str | None = None,
    generation: Generation | None = None,
    binary: bool = True,
    api_key: str | None = None,
    tls: SSLContext | None = None,
) -> AsyncIterator[Conversation]:
    """Open a conversation.

    `url` is the address of the conversations, or the server's own, as ws(s):// or http(s)://. `binary` picks msgpack
    over JSON. `api_key` is a key or a client secret, where the server wants one. `tls` says which certificates of a
    wss:// server are trusted, by default those the system trusts. The other settings are those of
    `Conversation.update`. Raises VoicedError when the server cannot be used.
    """
    encoding = MSGPACK if binary else JSON
    address = _socket_address(url)
    try:
        connection = await ws_connect(
            address,
            ssl=tls if tls is not None else address.startswith("wss:") or None,
            subprotocols=[Subprotocol(encoding.name)],
            compression=None,
            max_size=_MAX_EVENT_BYTES,
            additional_headers={} if api_key is None else {"Authorization": f"Bearer {api_key}"},
        )
    except websockets.InvalidStatus as error:
        raise _refused(error.response.status_code, error.response.body) from error
    except websockets.InvalidURI as error:
        hint = "it begins with ws://, wss://, http:// or https://"
        raise VoicedError("invalid_url", f"{url} is no address of a server; {hint}.") from error
    except OSError as error:
        raise VoicedError("unreachable", f"There is no server at {url}: {error}.") from error
    async with connection:
        conversation = Conversation(connection, encoding)
        first = encoding.decode_server(_bytes(await connection.recv()))
        conversation._take(first)
        reader = asyncio.create_task(conversation._read())
        try:
            if voice is not None or instructions is not None or generation is not None:
                await conversation.update(voice=voice, instructions=instructions, generation=generation)
            yield conversation
        finally:
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError, msgspec.DecodeError):
                await reader


def _socket_address(url: str) -> str:
    """Return the WebSocket address of a server's conversations.

    `url` is that address, the server's origin, or the base URL that OpenAI's clients are given (`…/v1`).
    """
    scheme, separator, rest = url.partition("://")
    place, _, path = rest.partition("/")
    if separator and path in ("", "v1", "v1/"):
        rest = f"{place}/v1/realtime"
    return {"http": "ws", "https": "wss"}.get(scheme, scheme) + separator + rest


def _words(item: Item) -> str:
    if not isinstance(item, MessageItem):
        return ""
    return "".join(part.transcript or "" for part in item.content if isinstance(part, OutputAudio))


def _bytes(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else data


def _refused(status: int, body: bytes | bytearray | None) -> VoicedError:
    try:
        error = json.loads(body or b"")["error"]
        return VoicedError(error["code"], error["message"])
    except (ValueError, KeyError, TypeError):
        return VoicedError(f"http_{status}", f"The server refused the connection with HTTP {status}.")


def _overrides(instructions: str | None, voice: str | None, generation: Generation | None) -> ResponseConfig:
    return ResponseConfig(
        instructions=UNSET if instructions is None else instructions,
        audio=UNSET if voice is None else SessionAudio(output=AudioOutput(voice=voice)),
        voiced=UNSET if generation is None else generation,
    )

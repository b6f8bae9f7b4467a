"""Serves `/v1/realtime/translations`: the shell around one translation session.

It carries events between the client, the translator and a `Shell` that speaks. For that shell it is the `Wire`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import msgspec
from starlette.websockets import WebSocket

from protocol.client_events import ClientEvent
from protocol.encodings import BadMessage
from protocol.server_events import ServerEvent
from protocol.translations import SessionSetup, decode_translation_event
from realtime.agent.brain import Reader
from realtime.http.access_middleware import grant_of
from realtime.http.client_socket import ClientSocket
from realtime.http.handshake import admitted
from realtime.ids import new_id
from realtime.shell.sessions import Sessions
from realtime.translation.messages import (
    Ask,
    Ending,
    EndSource,
    Feed,
    HangUp,
    Input,
    Retarget,
    Taken,
    Tell,
    Translated,
    TranslationFailed,
)
from realtime.translation.session import Interpreting
from realtime.translation.translator import AudioPiece, Translator, Words

log = logging.getLogger("voiced.translations")

_FINISH_S = 30.0
"""How long a translator may take for the rest, once its source has ended."""


class TranslationWire:
    """Carries one connection, and is the wire of the session that speaks on it."""

    def __init__(self, socket: ClientSocket, session: Interpreting, translator: Translator) -> None:
        self._socket = socket
        self._session = session
        self._translator = translator
        self._asked: asyncio.Queue[ClientEvent | None] = asyncio.Queue()
        self._source: asyncio.Queue[AudioPiece | Words | Retarget | EndSource] = asyncio.Queue()
        self._turn: Retarget | EndSource | None = None  # what ended the source that is being translated
        self._greeted = asyncio.Event()
        self._telling: deque[Tell | HangUp] = deque()
        self._teller = asyncio.Lock()

    async def run(self, speaking: Coroutine[Any, Any, None]) -> None:
        """Listen and translate for as long as `speaking`, which runs the session that speaks, goes on."""
        async with asyncio.TaskGroup() as tasks:
            beside = [tasks.create_task(self._listen()), tasks.create_task(self._translate())]
            await speaking
            for task in beside:
                task.cancel()

    # --- towards the session that speaks ---

    @property
    def stalled(self) -> bool:
        return self._socket.stalled

    async def incoming(self) -> AsyncIterator[ClientEvent | BadMessage]:
        while (event := await self._asked.get()) is not None:
            yield event

    async def send(self, event: ServerEvent) -> None:
        await self._happened(event)
        self._greeted.set()

    async def close(self, code: int, reason: str) -> None:
        await self._happened(Ending(code, reason))

    # --- the client and the translator ---

    async def _listen(self) -> None:
        """Take in what the client sends, until it leaves. The greeting goes out first."""
        await self._greeted.wait()
        with contextlib.suppress(ConnectionError):
            async for data in self._socket.incoming():
                await self._happened(_decoded(data))
        self._asked.put_nowait(None)

    async def _translate(self) -> None:
        """Run the translator, for one language after the other, until there is nothing more to translate."""
        try:
            await self._happened(await self._translated())
        except ConnectionError:
            self._asked.put_nowait(None)

    async def _translated(self) -> Translated | TranslationFailed:
        try:
            async with asyncio.timeout(None) as finishing:
                while isinstance(turn := await self._next_turn(), Retarget):
                    finishing.reschedule(None)
                    async for piece in self._translator.translate(self._pieces(finishing), turn.language):
                        await self._happened(piece)
        except ConnectionError:
            raise
        except Exception:  # the boundary of whatever translator is attached: its failure ends the session, in words
            log.exception("a translator failed")
            return TranslationFailed("The translation broke off; open a new session.")
        return Translated()

    async def _next_turn(self) -> Retarget | EndSource:
        turn, self._turn = self._turn, None
        while turn is None:
            piece = await self._source.get()
            if isinstance(piece, Retarget | EndSource):
                return piece
            await self._happened(Taken(piece))  # the translator stopped early: it will not take this piece
        return turn

    async def _pieces(self, finishing: asyncio.Timeout) -> AsyncIterator[AudioPiece | Words]:
        """Yield the source until the language changes or it ends. From then on the rest of the translation is due."""
        while not isinstance(piece := await self._source.get(), Retarget | EndSource):
            await self._happened(Taken(piece))
            yield piece
        self._turn = piece
        finishing.reschedule(asyncio.get_running_loop().time() + _FINISH_S)

    # --- effects ---

    async def _happened(self, message: Input) -> None:
        """Tell the session what happened, and do what it says. Raises ConnectionError when the client is gone."""
        for effect in self._session.receive(message):
            match effect:
                case Tell() | HangUp():
                    self._telling.append(effect)
                case Ask():
                    self._asked.put_nowait(effect.event)
                case Feed():
                    self._source.put_nowait(effect.piece)
                case Retarget() | EndSource():
                    self._source.put_nowait(effect)
        async with self._teller:  # several tasks come here; events go out in the session's order
            while self._telling:
                await self._tell(self._telling.popleft())

    async def _tell(self, effect: Tell | HangUp) -> None:
        match effect:
            case Tell():
                await self._socket.send(msgspec.json.encode(effect.event))
            case HangUp():
                try:
                    await self._socket.close(effect.code, effect.reason)
                finally:
                    self._asked.put_nowait(None)


class TranslationRoutes:
    """Serves `/v1/realtime/translations`."""

    def __init__(self, sessions: Sessions, translator: Translator) -> None:
        self._sessions = sessions
        self._translator = translator

    async def connect(self, websocket: WebSocket) -> None:
        """Serve one connection to its end."""
        place = await admitted(websocket, self._sessions)
        if place is None:
            return
        with place:
            await websocket.accept("realtime" if "realtime" in websocket.scope["subprotocols"] else None)
            socket = ClientSocket(websocket)
            granted = grant_of(websocket).session
            setup = None if granted is None else msgspec.json.decode(granted, type=SessionSetup)
            session = Interpreting(self._translator, place.runtime, new_id, setup)
            wire = TranslationWire(socket, session, self._translator)
            shell = self._sessions.begin(place, wire, Reader(), "translation", socket.drain)
            await wire.run(self._sessions.run(place, shell))


def _decoded(data: bytes) -> Input:
    try:
        return decode_translation_event(data)
    except BadMessage as bad:
        return bad

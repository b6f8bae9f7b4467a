"""A chat endpoint over HTTP: one request, its answer as it streams, and every way in which that can fail."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx2

from realtime.agent.brain import FunctionCall
from realtime.agent.chat.chunks import Answer
from realtime.agent.chat.events import EventReader
from realtime.agent.chat.failures import cut_off, no_text, stalled, too_long, turned_down, unreachable

log = logging.getLogger("voiced.brain")

_MOST_JSON = 1 << 20
_SHOWN_OF_ERROR = 500
_HERE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Patience:
    """Says how long an endpoint is waited for, in seconds: for a connection, the first text, and between pieces."""

    connect_s: float = 3.0
    first_s: float = 20.0
    between_s: float = 10.0


@dataclass
class _Deadline:
    """Holds when the next text has to be there, and what it means if it is not."""

    patience: Patience
    at: float = field(init=False)
    begun: bool = False

    def __post_init__(self) -> None:
        self.at = asyncio.get_running_loop().time() + self.patience.first_s

    def came(self) -> None:
        """Note that text has come: the next has its time from now."""
        self.begun = True
        self.at = asyncio.get_running_loop().time() + self.patience.between_s

    @contextlib.asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Wait within the deadline. Raises BrainFailure when it is over."""
        try:
            async with asyncio.timeout_at(self.at):
                yield
        except TimeoutError:
            if self.begun:
                raise stalled(self.patience.between_s) from None
            raise no_text(self.patience.first_s) from None


class Endpoint:
    """Asks the chat endpoint at `url` for answers of `model`, with `key` (empty: none). Several may stream at once.

    `max_tokens` bounds an answer; 0: the endpoint's own bound.
    """

    def __init__(
        self, url: str, model: str, key: str = "", patience: Patience | None = None, max_tokens: int = 0
    ) -> None:
        self._asks = {"model": model or "default", **({"max_tokens": max_tokens} if max_tokens else {}), "stream": True}
        self._url = url if url.endswith("/chat/completions") else f"{url.rstrip('/')}/chat/completions"
        self._key = key
        self._patience = patience or Patience()
        self._made: httpx2.AsyncClient | None = None

    async def stream(self, asked: dict[str, Any]) -> AsyncGenerator[str | FunctionCall]:
        """Stream the answer to a request: its text in pieces, then its calls. Raises BrainFailure.

        Leaving it closes its connection, so that the endpoint stops as well.
        """
        answer, reader, deadline = Answer(), EventReader(), _Deadline(self._patience)
        body = json.dumps({**self._asks, **asked}, ensure_ascii=False).encode()
        response = await self._opened(body, deadline)
        try:
            if response.headers.get("content-type", "").startswith("application/json"):
                yield answer.take(await self._whole(response, deadline))
            else:
                received = response.aiter_raw()
                while not answer.over:
                    more, before = await self._received(received, deadline), answer.chars
                    for data in reader.end() if more is None else reader.push(more):
                        if text := answer.take(data):
                            yield text
                    if answer.chars > before:
                        deadline.came()
                    if more is None:
                        break
            for call in answer.calls():
                yield call
        finally:
            await response.aclose()

    async def close(self) -> None:
        """Close the connections that are kept for the next request."""
        if self._made is not None:
            await self._made.aclose()
            self._made = None

    async def _opened(self, body: bytes, deadline: _Deadline) -> httpx2.Response:
        """Send the request, once more where its connection broke before an answer. Raises BrainFailure."""
        for last in (False, True):
            try:
                async with deadline.kept():
                    request = self._client.build_request("POST", self._url, content=body)
                    response = await self._client.send(request, stream=True)
                break
            except httpx2.HTTPError as error:
                if last:
                    log.warning("the language model cannot be reached: %s", self._told(str(error) or repr(error)))
                    raise unreachable(_why(error)) from None
        if response.status_code == 200:
            return response
        await self._tell_refused(response)
        raise turned_down(response.status_code)

    async def _tell_refused(self, response: httpx2.Response) -> None:
        """Write into the log what the endpoint said; then nothing of this response is left."""
        said = b""
        with contextlib.suppress(httpx2.HTTPError, TimeoutError):
            async with asyncio.timeout(self._patience.connect_s):
                async for more in response.aiter_raw():
                    said += more
                    if len(said) >= _SHOWN_OF_ERROR:
                        break
        await response.aclose()
        about_the_key = response.status_code in (401, 403)  # such an answer may repeat it
        shown = "" if about_the_key else self._told(said[:_SHOWN_OF_ERROR].decode(errors="replace"))
        log.warning("the language model's server answered %d: %s", response.status_code, shown)

    def _told(self, text: str) -> str:
        """Make a text fit for the log: on one line, without the key."""
        return " ".join((text.replace(self._key, "***") if self._key else text).split())

    async def _received(self, received: AsyncIterator[bytes], deadline: _Deadline) -> bytes | None:
        """Wait for more of the answer; None: it has ended. Raises BrainFailure."""
        try:
            async with deadline.kept():
                return await anext(received, None)
        except httpx2.HTTPError:
            raise cut_off() from None

    async def _whole(self, response: httpx2.Response, deadline: _Deadline) -> str:
        """Read an answer that is not streamed."""
        body, received = b"", response.aiter_raw()
        while (more := await self._received(received, deadline)) is not None:
            body += more
            if len(body) > _MOST_JSON:
                raise too_long()
        return body.decode(errors="replace")

    @property
    def _client(self) -> httpx2.AsyncClient:
        if self._made is None:
            headers = {"Content-Type": "application/json", "Accept": "text/event-stream", "Accept-Encoding": "identity"}
            if self._key:
                headers["Authorization"] = f"Bearer {self._key}"
            self._made = httpx2.AsyncClient(
                headers=headers,
                timeout=httpx2.Timeout(self._patience.first_s, connect=self._patience.connect_s, read=None),
                limits=httpx2.Limits(max_connections=1024, max_keepalive_connections=32, keepalive_expiry=60.0),
                trust_env=httpx2.URL(self._url).host not in _HERE,  # no proxy stands before this machine
            )
        return self._made


def _why(error: httpx2.HTTPError) -> str:
    """Say in a few words how a connection failed, without where it led."""
    match error:
        case httpx2.ConnectTimeout() | httpx2.PoolTimeout():
            return "no connection in time"
        case httpx2.ConnectError():
            return "no connection"
        case httpx2.UnsupportedProtocol():
            return "no http:// or https:// address"
    return "the connection broke before an answer came"

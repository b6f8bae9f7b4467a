"""Scope: somebody else's web server: a page of their own, with the Agents SDK as it is installed, or all theirs."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.interop.environment import Clients


class _Pages(SimpleHTTPRequestHandler):
    """A page, the script beside this file, and the SDK's own bundle for browsers under /sdk/."""

    def __init__(self, *arguments: object, sdk: Path) -> None:
        self._sdk = sdk
        super().__init__(*arguments)  # type: ignore[arg-type]

    def translate_path(self, path: str) -> str:
        if path.startswith("/sdk/"):
            return str(self._sdk / Path(path).name)
        return str(Path(__file__).with_name("agents.js" if path == "/agents.js" else "agents.html"))

    def guess_type(self, path: str | os.PathLike[str]) -> str:
        return "text/html" if str(path).endswith(".html") else "text/javascript"

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""


class _Folder(SimpleHTTPRequestHandler):
    """What lies in a folder."""

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""


def web_server(clients: Clients) -> contextlib.AbstractContextManager[str]:
    """Somebody's page with the SDK; gives its origin."""
    sdk = clients.scripts / "node_modules" / "@openai" / "agents-realtime" / "dist" / "bundle"
    return _running(partial(_Pages, sdk=sdk))


def folder_server(folder: Path) -> contextlib.AbstractContextManager[str]:
    """Somebody's own files; gives their origin."""
    return _running(partial(_Folder, directory=str(folder)))


@contextlib.contextmanager
def _running(pages: Callable[..., SimpleHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), pages) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()
        thread.join()

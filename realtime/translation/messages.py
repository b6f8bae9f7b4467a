"""Defines what goes into a translation session and what comes out of it: inputs it is told, effects it asks for.

All are plain data.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol.client_events import ClientEvent
from protocol.encodings import BadMessage
from protocol.server_events import ServerEvent
from protocol.translations import TranslationClientEvent, TranslationServerEvent
from realtime.translation.translator import AudioPiece, Rendered, Transcribed, Words

# --- inputs besides the events of both protocols ---


@dataclass(frozen=True)
class Taken:
    """Says that the translator took the next piece of what it was fed."""

    piece: AudioPiece | Words


@dataclass(frozen=True)
class Translated:
    """Says that the translator has given all there is, after `EndSource`."""


@dataclass(frozen=True)
class TranslationFailed:
    """Says that the translator broke; `message` is for the client."""

    message: str


@dataclass(frozen=True)
class Ending:
    """Says that the server ends the session. `code` is that of a WebSocket's close."""

    code: int
    reason: str


Input = (
    TranslationClientEvent
    | BadMessage
    | Transcribed
    | Rendered
    | Taken
    | Translated
    | TranslationFailed
    | Ending
    | ServerEvent
)

# --- effects ---


@dataclass(frozen=True)
class Tell:
    """Send an event to the client, after those before it."""

    event: TranslationServerEvent


@dataclass(frozen=True)
class Ask:
    """Send an event to the session that speaks."""

    event: ClientEvent


@dataclass(frozen=True)
class Feed:
    """Give the translator one more piece."""

    piece: AudioPiece | Words


@dataclass(frozen=True)
class Retarget:
    """Translate what is fed from here on into this language."""

    language: str


@dataclass(frozen=True)
class EndSource:
    """Tell the translator that nothing more is fed."""


@dataclass(frozen=True)
class HangUp:
    """End the connection, after everything told before. `code` is that of a WebSocket's close."""

    code: int
    reason: str


Effect = Tell | Ask | Feed | Retarget | EndSource | HangUp

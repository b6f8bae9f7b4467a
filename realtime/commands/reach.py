"""Finds the server that a command uses: the one given, one that runs where the settings say, or one started here."""

from __future__ import annotations

import contextlib
import ssl
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec

from realtime.commands.serve import describe, follow, running
from realtime.config import Config
from realtime.http.server import reached_at

_ENGINE_SETTINGS = (
    "model",
    "codec",
    "device",
    "dtype",
    "decoder",
    "look_ahead",
    "slots",
    "kv_positions",
    "prefill_positions",
    "max_lead_s",
    "max_clause_s",
    "threads",
    "front_end",
    "voices",
    "uploads",
)


@contextlib.asynccontextmanager
async def reached(
    url: str | None, config: Config, before_start: Callable[[], None] = lambda: None
) -> AsyncIterator[tuple[str, ssl.SSLContext | None]]:
    """Give the address of a server, and which certificates are trusted, if not those the system trusts.

    The server is the one at `url`, or else the one that runs where the settings say, or else one started here. It is
    stopped at the end if it was started here. `before_start` is called before one is started; what it raises is raised.
    Raises RuntimeError, OSError, ConfigError and VoiceError for one that cannot be started.
    """
    configured = reached_at(config.host, config.port)
    tls = _tls(config.tls_cert) if config.tls_cert else None
    if url is not None:
        _tell_ignored(config)
        yield url, None
    elif (found := _running(configured, config.api_keys, tls)) is not None:
        runs, address = found
        print(f"voiced: using the server at {configured} ({runs})", file=sys.stderr)
        _tell_ignored(config)
        yield address, tls
    else:
        before_start()
        own = msgspec.structs.replace(config, host="127.0.0.1", port=0, drain_s=1.0, tls_cert="", tls_key="")
        async with running(own) as (_, application, address):
            info = await follow(application.engine)
            print(f"voiced: {describe(info)}", file=sys.stderr)
            yield address, None


def _tell_ignored(config: Config) -> None:
    usual = Config()
    ignored = [name for name in _ENGINE_SETTINGS if getattr(config, name) != getattr(usual, name)]
    if ignored:
        print(f"voiced: it speaks with settings of its own; not used: {', '.join(ignored)}", file=sys.stderr)


def _running(address: str, api_keys: list[str], tls: ssl.SSLContext | None) -> tuple[str, str] | None:
    """Return what runs at an address, and the URL of its conversations; None where nothing that can be used does.

    Without a certificate to trust, plain HTTP is tried first, then TLS with the authorities that the system trusts.
    """
    for secure in ("s",) if tls is not None else ("", "s"):
        if (runs := _ready(f"http{secure}://{address}/readyz", api_keys, tls)) is not None:
            return runs, f"ws{secure}://{address}/v1/realtime"
    return None


def _ready(url: str, api_keys: list[str], tls: ssl.SSLContext | None) -> str | None:
    """Return what runs at the readiness route `url`; None unless a voiced server is ready there and lets us in."""
    try:
        headers = {"Authorization": f"Bearer {api_keys[0]}"} if api_keys else {}
        asked = urllib.request.Request(url, headers=headers)
        with urllib.request.urlopen(asked, timeout=0.5, context=tls) as answer:
            body = msgspec.json.decode(answer.read())
            if body == {"status": "ready"}:  # the answer to a client without a key
                print(f"voiced: the server at {url} wants a key: give one in VOICED_API_KEYS", file=sys.stderr)
            return f"checkpoint {body['engine']['checkpoint']}" if body["status"] == "ready" else None
    except (OSError, ValueError, KeyError, TypeError, msgspec.DecodeError) as error:
        if isinstance(getattr(error, "reason", None), ssl.SSLCertVerificationError):
            advice = "to use it, name its certificate with --tls-cert"
            print(f"voiced: the certificate of the server at {url} is not trusted here: {advice}", file=sys.stderr)
        return None


def _tls(cert: str) -> ssl.SSLContext:
    """Trust the certificate in the file `cert` and no other, whatever name it was made out to.

    Whoever has its key is our server. Raises OSError for a file that cannot be read or used.
    """
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    first, end, _ = Path(cert).read_text(encoding="utf-8").partition("-----END CERTIFICATE-----")
    trusting.load_verify_locations(cadata=first + end)  # its issuers may follow in the file; they issued others too
    return trusting

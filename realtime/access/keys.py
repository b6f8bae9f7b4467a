"""Checks API keys, and mints the short-lived secrets that clients use in their place.

Neither is kept: only their SHA-256 digests are.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from realtime.access.rules import SecretKind

SECRET_PREFIX = "ek_"
MIN_KEY_CHARS = 16
MIN_SECRET_S, DEFAULT_SECRET_S, MAX_SECRET_S = 10, 600, 7200
_MAX_KEY_CHARS = 256


class ApiKeys:
    """Knows the keys that open this server. It is false when there are none."""

    def __init__(self, keys: Iterable[str]) -> None:
        """Take the keys in. Raises ValueError with one sentence for a key that cannot be used; it does not repeat the
        key.
        """
        self._digests: list[bytes] = []
        for number, key in enumerate(keys, 1):
            fault = _fault(key)
            if fault:
                raise ValueError(f"api_keys: key {number} {fault}.")
            self._digests.append(_digest(key))

    def __bool__(self) -> bool:
        return bool(self._digests)

    def name(self, candidate: str) -> str | None:
        """Return the name a key has in logs and records (`key_` and the beginning of its digest), or None for what is
        no key.

        It takes as long for a wrong key as for a right one.
        """
        digest, found = _digest(candidate), None
        for known in self._digests:
            if hmac.compare_digest(known, digest):
                found = known
        return None if found is None else f"key_{found.hex()[:12]}"


@dataclass(frozen=True)
class Secret:
    """Says what a client secret stands for.

    It opens sessions of one `kind`, set up as `session` says (JSON), until `expires_at` (Unix seconds). `minted_by` is
    the name of the key it was minted with.
    """

    kind: SecretKind
    session: bytes
    expires_at: int
    minted_by: str


class TooManySecrets(Exception):
    """Says that no more secrets can be minted before one expires, in `retry_after_s` seconds."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"too many client secrets have not expired yet; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class Secrets:
    """Keeps the client secrets that have not expired, at most `limit`. The clock and chance are arguments."""

    def __init__(self, random_text: Callable[[], str], limit: int = 4096, *, shared: bool = False) -> None:
        """Take `random_text`, which returns text that nobody can guess, and the bound.

        `shared` says that several keys share the server: then no key may hold more than half of the secrets.
        """
        self._random_text = random_text
        self._limit = limit
        self._limit_of_one = limit // 2 if shared else limit
        # the look-up goes by digest, so the time it takes tells nothing about a secret that is known in part only
        self._known: dict[bytes, Secret] = {}

    def __len__(self) -> int:
        return len(self._known)

    def mint(self, kind: SecretKind, session: bytes, seconds: int, minted_by: str, now: float) -> tuple[str, Secret]:
        """Mint a secret that lasts `seconds` and return its value, which is told this once, with what it stands for.

        `now` is Unix time. Raises TooManySecrets when the key, or the server, holds as many as it may.
        """
        self._known = {digest: secret for digest, secret in self._known.items() if secret.expires_at > now}
        theirs = [secret.expires_at for secret in self._known.values() if secret.minted_by == minted_by]
        if len(theirs) >= self._limit_of_one:
            raise TooManySecrets(_until(theirs, now))
        if len(self._known) >= self._limit:
            raise TooManySecrets(_until([secret.expires_at for secret in self._known.values()], now))
        value = SECRET_PREFIX + self._random_text()
        secret = Secret(kind, session, int(now) + seconds, minted_by)
        self._known[_digest(value)] = secret
        return value, secret

    def redeem(self, value: str, now: float) -> Secret | None:
        """Return what a value stands for, or None when it is unknown or has expired. A secret can be redeemed any
        number of times.
        """
        secret = self._known.get(_digest(value))
        return secret if secret is not None and now < secret.expires_at else None


def _until(expiries: Iterable[int], now: float) -> int:
    """Return the whole seconds until the first of `expiries` has passed, at least 1."""
    return max(1, int(min(expiries) - now) + 1)


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).digest()


def _fault(key: str) -> str:
    if key.startswith(SECRET_PREFIX):
        return f"begins with {SECRET_PREFIX!r}, which marks client secrets; choose another"
    if not all("!" <= character <= "~" and character != "," for character in key):
        return "holds characters that do not travel in a header; use letters, digits and signs other than the comma"
    if len(key) < MIN_KEY_CHARS:
        return f"can be guessed: it has {len(key)} characters; use at least {MIN_KEY_CHARS}"
    if len(key) > _MAX_KEY_CHARS:
        return f"has {len(key)} characters; use at most {_MAX_KEY_CHARS}"
    return ""

"""Encodes reference clips into delayed rows, beside the step loop, and remembers them by content."""

from __future__ import annotations

import logging
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import blake2b

import numpy as np

from codec_stream.delay import delayed_rows
from codec_stream.encoder import Encoder
from codec_stream.errors import AudioError
from realtime.engine.errors import RequestError
from realtime.engine.memory import give_back
from realtime.engine.messages import RegisterVoice, VoiceRegistered
from realtime.request import Clip, RegisteredClip

log = logging.getLogger("voiced.clips")

_REMEMBERED = 256
_IN_USE = 4096
"""Bounds the pairs of a context and a voice it speaks with that are kept; the oldest are dropped first."""


class Clips:
    """Keeps the rows of voices by name, and of other clips by content (the most recent few hundred)."""

    def __init__(self, encoder: Encoder, stream_bos: int, stream_eos: int, max_seconds: float) -> None:
        self._encoder = encoder
        self._bos, self._eos = stream_bos, stream_eos
        self._max_samples = int(max_seconds * encoder.config.sample_rate)
        self._voices: dict[str, np.ndarray] = {}
        self._registering: dict[str, tuple[int, Future[np.ndarray]]] = {}  # name -> ticket, rows that are being encoded
        self._in_use: OrderedDict[tuple[str, str], np.ndarray] = OrderedDict()  # (context, name) -> rows
        self._known: OrderedDict[bytes, Future[np.ndarray]] = OrderedDict()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="clips")

    @property
    def voices(self) -> list[str]:
        """List the names of the registered voices, sorted."""
        return sorted(self._voices)

    def register(self, name: str, pcm: bytes) -> None:
        """Encode a voice's clip (16-bit mono `pcm`) now and keep it under its name. Raises RequestError."""
        self._voices[name] = self._encode(pcm)

    def begin(self, voice: RegisterVoice) -> None:
        """Begin to encode a voice's clip beside the step loop; `settled` tells when it is done."""
        try:
            self._check(voice.pcm)
            future = self._thread.submit(self._encode, voice.pcm)
        except RequestError as error:
            future = Future()
            future.set_exception(error)
        self._registering[voice.name] = (voice.ticket, future)

    @property
    def registering(self) -> bool:
        """Tell whether voices are being encoded, so that `settled` will have something to tell."""
        return bool(self._registering)

    def settled(self) -> list[VoiceRegistered]:
        """Return how the encoding of voices ended, for those that ended since the last call."""
        answers = []
        for name, (ticket, future) in list(self._registering.items()):
            if not future.done():
                continue
            del self._registering[name]
            try:
                self._voices[name] = future.result()
                answers.append(VoiceRegistered(ticket))
            except RequestError as error:
                answers.append(VoiceRegistered(ticket, str(error)))
        return answers

    def forget(self, name: str) -> None:
        """Forget a voice, or stop registering it: its ticket is then not answered.

        Contexts that have spoken with the voice can go on.
        """
        self._voices.pop(name, None)
        self._registering.pop(name, None)

    def start(self, parts: list[RegisteredClip | Clip], context_id: str = "") -> list[Future[np.ndarray]]:
        """Begin to encode what is not known yet, and return the rows [R, K] to come for each part.

        Raises RequestError for bad clips, and for voices that are neither known nor in use by this context.
        """
        return [self._future(part, context_id) for part in parts]

    def rows(self, part: RegisteredClip | Clip, context_id: str = "") -> np.ndarray:
        """Return the rows [R, K] of a part whose future is done. Raises RequestError for a clip that could not be
        encoded.
        """
        if isinstance(part, Clip):
            known = self._known.get(_key(part))
            return known.result() if known is not None else self._future(part, context_id).result()
        rows = self._future(part, context_id).result()
        if context_id:
            self._in_use[context_id, part.name] = rows
            self._in_use.move_to_end((context_id, part.name))
            while len(self._in_use) > _IN_USE:
                self._in_use.popitem(last=False)
        return rows

    def drop_context(self, context_id: str) -> None:
        """Forget the voices that a context used, since it speaks no more."""
        for key in [key for key in self._in_use if key[0] == context_id]:
            del self._in_use[key]

    def close(self) -> None:
        """Stop the encoding thread."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _future(self, part: RegisteredClip | Clip, context_id: str) -> Future[np.ndarray]:
        if isinstance(part, RegisteredClip):
            if part.name in self._registering:
                return self._registering[part.name][1]
            rows = self._voices.get(part.name)
            if rows is None:
                rows = self._in_use.get((context_id, part.name))
            if rows is None:
                known = ", ".join(self.voices) or "none are registered"
                raise RequestError("voice", f"There is no voice {part.name!r}; there are: {known}.")
            done: Future[np.ndarray] = Future()
            done.set_result(rows)
            return done
        self._check(part.pcm)
        key = _key(part)
        future = self._known.get(key)
        if future is None or (future.done() and future.exception() is not None):
            future = self._known[key] = self._thread.submit(self._encode, part.pcm)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return future

    def _check(self, pcm: bytes) -> None:
        if len(pcm) % 2 or not pcm:
            raise RequestError("audio", "A reference clip must be whole 16-bit samples, and at least one.")
        if len(pcm) // 2 > self._max_samples:
            seconds = self._max_samples / self._encoder.config.sample_rate
            raise RequestError("audio", f"A reference clip may last at most {seconds:g} s; cut it.")

    def _encode(self, pcm: bytes) -> np.ndarray:
        samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32) / 32768.0
        try:
            frames = self._encoder.encode(samples)
        except AudioError as error:
            raise RequestError("audio", f"The reference clip cannot be used: {error}.") from error
        except RuntimeError as error:  # torch's own, out of memory above all: it is this clip's failure alone
            log.exception("encoding a clip failed")
            raise RequestError("audio", "The reference clip could not be encoded; use a shorter one.") from error
        finally:
            give_back()
        return delayed_rows(frames.astype(np.int64), self._bos, self._eos)


def _key(part: Clip) -> bytes:
    return blake2b(part.pcm, digest_size=16).digest()

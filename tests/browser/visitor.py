"""Scope: somebody at a page in Chromium: what they do, what they hear, what passed between page and server."""

from __future__ import annotations

import base64
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr
from playwright.async_api import BrowserContext, Locator, Page, TimeoutError

PATIENCE_MS = 30_000
EARS = Path(__file__).with_name("ears.js")
BLOCK_S = 0.005
WEBRTC_RATE = 48000
SILENCE_AFTER_S = 60
PACKET_MS = 20
OPUS_LOOKS_AHEAD_MS = 6.5
FADE_MS = 5
PAUSE_MS = 500
TAIL_MS = 500
AUDIBLE = 10 ** (-50 / 20)

Json = dict[str, Any]


@dataclass(frozen=True)
class Heard:
    """What a track played, mono, -1 to 1. `began_ms` is when its first sample was played, in the page's clock."""

    pcm: np.ndarray
    rate: int
    began_ms: float

    def _blocks(self) -> np.ndarray:
        """The level of every 5 ms."""
        size = int(self.rate * BLOCK_S)
        whole = self.pcm[: len(self.pcm) // size * size].reshape(-1, size)
        return np.asarray(np.sqrt(np.mean(np.square(whole), axis=1)))

    @property
    def _loud(self) -> np.ndarray:
        return np.flatnonzero(self._blocks() > AUDIBLE)

    @property
    def silent(self) -> bool:
        return len(self._loud) == 0

    @property
    def first_ms(self) -> float:
        """When its first sound began."""
        return self.began_ms + float(self._loud[0]) * BLOCK_S * 1000

    def onset_before_ms(self, at_ms: float) -> float:
        """When the sound began that is there at this moment, or came before it; what is apart by less than PAUSE_MS is
        one."""
        loud = self._cut(self.began_ms, at_ms)._loud * BLOCK_S * 1000
        begins = np.flatnonzero(np.diff(loud, prepend=-PAUSE_MS) >= PAUSE_MS)
        return self.began_ms + float(loud[begins[-1]])

    @property
    def last_ms(self) -> float:
        """When its last sound ended."""
        return self.began_ms + float(self._loud[-1] + 1) * BLOCK_S * 1000

    @property
    def spoken_ms(self) -> float:
        """From the first to the last sound, pauses included."""
        return self.last_ms - self.first_ms

    @property
    def audible_ms(self) -> float:
        """How much of it is not silence."""
        return len(self._loud) * BLOCK_S * 1000

    @property
    def energy_db(self) -> float:
        """Of all of it."""
        return float(10 * np.log10(np.sum(np.square(self.pcm)) / self.rate))

    def place_in(self, whole: Heard) -> float:
        """Which moment of `whole`, in ms from its beginning, was the last that was heard, found by its likeness. Pauses
        do not count: a machine that is slow makes some of its own."""
        tail = self._at(whole.rate)._sounding()[0][-int(TAIL_MS * whole.rate / 1000) :]
        sounding, places = whole._sounding()
        size = 1 << (len(tail) + len(sounding)).bit_length()
        match = np.fft.irfft(np.fft.rfft(sounding, size) * np.conj(np.fft.rfft(tail, size)), size)
        match = match[: len(sounding) - len(tail) + 1]
        power = np.convolve(np.square(sounding), np.ones(len(tail)), "valid")
        last = int(np.argmax(match / np.sqrt(power))) + len(tail) - 1
        return float(places[last] + 1) * 1000 / whole.rate

    def _sounding(self) -> tuple[np.ndarray, np.ndarray]:
        """Its samples without the pauses, and where each is."""
        size = int(self.rate * BLOCK_S)
        places = (self._loud[:, None] * size + np.arange(size)).reshape(-1)
        return self.pcm[places], places

    def since(self, at_ms: float) -> Heard:
        """Its end, from a moment of the page's clock on."""
        return self._cut(at_ms, self.began_ms + len(self.pcm) / self.rate * 1000)

    def until(self, at_ms: float) -> Heard:
        """Its beginning."""
        return self._cut(self.began_ms, self.began_ms + at_ms)

    def _cut(self, from_ms: float, to_ms: float) -> Heard:
        first, last = (max(0, int((at - self.began_ms) * self.rate / 1000)) for at in (from_ms, to_ms))
        return Heard(self.pcm[first:last], self.rate, self.began_ms + first * 1000 / self.rate)

    def _at(self, rate: int) -> Heard:
        return Heard(np.asarray(soxr.resample(self.pcm, self.rate, rate)), rate, self.began_ms)


def made(pcm: bytes, rate: int = 24000) -> Heard:
    """The server's own 16-bit samples, to compare with."""
    return Heard(np.frombuffer(pcm, "<i2").astype(np.float64) / 32768, rate, 0.0)


def assert_cut_where_heard(truncated: Json, heard: Heard, whole: Heard, stretched_ms: float) -> None:
    """The last sound that was heard is the last before the cut: to a packet, what Opus looks ahead, how what is taken
    back fades, and what the browser's jitter buffer made up."""
    before_cut = whole.until(truncated["event"]["audio_end_ms"])
    allowed_ms = PACKET_MS + OPUS_LOOKS_AHEAD_MS + FADE_MS + stretched_ms
    assert heard.place_in(whole) == pytest.approx(before_cut.last_ms, abs=allowed_ms)


class Visitor:
    """One browser context with one page."""

    def __init__(self, context: BrowserContext, page: Page, microphone: Path) -> None:
        self.context = context
        self.page = page
        self.failures: list[str] = []
        """What the page threw and did not catch, and what its console calls errors."""
        self._microphone = microphone
        page.on("pageerror", lambda error: self.failures.append(str(error)))

    def __getitem__(self, test_id: str) -> Locator:
        """What the page shows, by its test id."""
        return self.page.get_by_test_id(test_id)

    def will_say(self, pcm: bytes, rate: int) -> None:
        """What the microphone hears from when it is opened next: 16-bit samples, then silence. (At the end of its file
        Chromium's microphone would not fall silent but stop.)"""
        with wave.open(str(self._microphone), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(pcm + bytes(2 * rate * SILENCE_AFTER_S))

    async def event(self, kind: str, after_ms: float = 0.0) -> Json:
        """The first event of a kind that the page got after a moment of its clock, as {at, event}; waits for it."""
        try:
            found = await self.page.wait_for_function(
                "([kind, after]) => ears.events.find((one) => one.event.type === kind && one.at > after)",
                arg=[kind, after_ms],
                polling=20,
            )
            return await found.json_value()  # type: ignore[no-any-return]
        except TimeoutError:
            seen = [(round(one["at"]), one["event"]["type"]) for one in await self.events()]
            shown = await self.page.inner_text("body")
            raise AssertionError(f"no {kind} came, but {seen}; {self.failures}; the page shows:\n{shown}") from None

    async def events(self) -> list[Json]:
        """All that the page got so far, each as {at, event}."""
        return await self.page.evaluate("ears.events")  # type: ignore[no-any-return]

    async def sent(self) -> list[Json]:
        """All that it sent, each as {at, event}."""
        return await self.page.evaluate("ears.sent")  # type: ignore[no-any-return]

    async def now_ms(self) -> float:
        """The page's clock."""
        return await self.page.evaluate("performance.now()")  # type: ignore[no-any-return]

    async def heard(self, track: str = "voice") -> Heard:
        """A track of the newest call so far: `voice` as WebRTC brings it, what `worklets` play, or the `microphone`.
        What a track left out is silence."""
        told = await self.page.evaluate("(name) => ears.heard(name)", track)
        rate, pieces = told["rate"], told["pieces"]
        all_pcm = np.frombuffer(base64.b64decode(told["pcm"]), "<f4")
        if not pieces:
            return Heard(np.zeros(0), rate, 0.0)
        starts = [round((piece[1] - pieces[0][1]) * rate / 1000) for piece in pieces]
        pcm = np.zeros(starts[-1] + pieces[-1][2])
        taken = 0
        for start, piece in zip(starts, pieces, strict=True):
            pcm[start : start + piece[2]] = all_pcm[taken : taken + piece[2]]
            taken += piece[2]
        # the piece that was the quickest to arrive ties the track's clock to the page's
        ahead = min(piece[0] - piece[1] - piece[2] * 1000 / rate for piece in pieces)
        return Heard(pcm, rate, pieces[0][1] + ahead)

    async def stretched_ms(self) -> float:
        """How much sound the browser's jitter buffer made up or left out so far, by its own count."""
        script = "async () => [...(await ears.peer.getStats()).values()].find((one) => one.type === 'inbound-rtp')"
        said = await self.page.evaluate(script)
        kinds = ("concealedSamples", "insertedSamplesForDeceleration", "removedSamplesForAcceleration")
        return float(sum(said[kind] for kind in kinds)) / WEBRTC_RATE * 1000

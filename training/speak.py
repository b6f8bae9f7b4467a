"""Speaks sentences through the service's own engine, offline: what a listener would get, without the network."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from realtime.engine.load import load_engine
from realtime.engine.messages import Audio, EngineConfig
from realtime.request import Ended, Sampling, Speak, Voicing
from realtime.session.clauses import ClauseSplitter
from realtime.text import front_end

DEFAULTS = Sampling()


@dataclass(frozen=True)
class Utterance:
    """Holds what was spoken of one text."""

    samples: np.ndarray  # [n] float32
    ended: bool  # by itself, not by a cap
    starts: list[int]  # the sample at which each of its clauses begins


class Speaker:
    """Runs an engine with a checkpoint folder, which speaks `slots` utterances at once."""

    def __init__(
        self, folder: Path, slots: int = 8, decoder: str = "low-latency", threads: int = 1, max_clause_s: float = 30.0
    ) -> None:
        config = EngineConfig(
            model=str(folder),
            slots=slots,
            decoder=decoder,
            threads=threads,
            max_clause_s=max_clause_s,
            admit_by_rate=False,
        )
        self._engine, self.info = load_engine(config, front_end, lambda stage: None)
        self._slots, self._requests, self._calls = slots, 0, 0

    def say(
        self,
        texts: Sequence[str],
        voice: str = "",
        seed: int = 0,
        sampling: Sampling = DEFAULTS,
        whole: bool = False,
        voicing: Voicing | None = None,
    ) -> list[Utterance]:
        """Speak each text by one voice of the scene (or by `voicing`), its clauses in one context, and return them in
        order.

        With `whole` a text is not cut into clauses. Raises RuntimeError for a text that the engine refuses.
        """
        if voicing is None:
            voicing = Voicing(voice=self.info.scene_voices[voice or self.info.default_voice])
        self._calls += 1
        jobs = [[text] if whole else self._clauses(text) for text in texts]
        heard: list[list[np.ndarray]] = [[] for _ in texts]
        starts: list[list[int]] = [[] for _ in texts]
        ended = [True] * len(texts)
        requests: dict[str, int] = {}
        waiting = list(range(len(texts)))
        while waiting or requests:
            while waiting and len(requests) < self._slots:
                index = waiting.pop(0)
                starts[index].append(0)
                self._submit(requests, index, jobs[index], voicing, seed, sampling)
            for event in self._engine.step(time.monotonic()).events:
                if event.request_id not in requests:
                    continue
                index = requests[event.request_id]
                if isinstance(event, Audio):
                    heard[index].append(np.frombuffer(event.pcm, "<i2").astype(np.float32) / 32768)
                elif isinstance(event, Ended):
                    del requests[event.request_id]
                    if event.reason not in ("stop", "length"):
                        raise RuntimeError(f"{texts[index]!r}: {event.reason} {event.error}")
                    ended[index] &= event.reason == "stop"
                    if jobs[index]:
                        starts[index].append(sum(map(len, heard[index])))
                        self._submit(requests, index, jobs[index], voicing, seed, sampling)
        empty = [np.zeros(0, np.float32)]
        return [
            Utterance(np.concatenate(pieces or empty), end, begins)
            for pieces, end, begins in zip(heard, ended, starts, strict=True)
        ]

    def _clauses(self, text: str) -> list[str]:
        splitter = ClauseSplitter(self.info.max_clause_chars)
        return [clause.spoken for clause in splitter.push(text) + splitter.flush() if clause.spoken]

    def _submit(
        self,
        requests: dict[str, int],
        index: int,
        clauses: list[str],
        voicing: Voicing,
        seed: int,
        sampling: Sampling,
    ) -> None:
        if not clauses:
            return
        self._requests += 1
        name, context = f"u{self._requests}", f"t{self._calls}.{index}"
        requests[name] = index
        speak = Speak(name, clauses.pop(0), voicing, context, sampling, seed * 100_003 + index, paced=False)
        self._engine.submit(speak, time.monotonic())

"""A Whisper that CTranslate2 runs, on one thread. The only file that imports it, and only in the process that
recognises speech."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
from numpy.typing import NDArray

from realtime.recognition.decoding import Decoded


class LoadedWhisper:
    """Weights in a folder that are loaded as 8-bit integers, as a `decoding.Whisper`. Raises RuntimeError for files
    that cannot be used."""

    def __init__(self, folder: Path) -> None:
        self._model = ctranslate2.models.Whisper(
            str(folder), device="cpu", compute_type="int8", inter_threads=1, intra_threads=1
        )
        self.bands = int(self._model.n_mels)
        self.multilingual = bool(self._model.is_multilingual)

    def encode(self, features: NDArray[np.float32]) -> Any:
        """Look at features [bands, frames]."""
        return self._model.encode(ctranslate2.StorageView.from_array(np.ascontiguousarray(features[None])))

    def languages(self, encoded: Any) -> list[tuple[str, float]]:
        """Which languages it may be, likeliest first."""
        (found,) = self._model.detect_language(encoded)
        return [(token.strip("<|>"), probability) for token, probability in found]

    def decode(self, encoded: Any, prompt: list[int], most_tokens: int) -> Decoded:
        """Write the text down that goes on from the prompt, greedily."""
        (result,) = self._model.generate(
            encoded,
            [prompt],
            beam_size=1,
            length_penalty=1,
            max_length=len(prompt) + most_tokens,
            return_scores=True,
            return_no_speech_prob=True,
        )
        tokens = list(result.sequences_ids[0])
        # the score is the mean without the end of the text, which was as likely or not
        logprob = result.scores[0] * len(tokens) / (len(tokens) + 1)
        return Decoded(tokens, logprob, result.no_speech_prob)

    def align(self, encoded: Any, start: list[int], tokens: list[int], frames: int) -> list[tuple[int, int]]:
        """Which token is heard where: pairs of a token's place among `tokens` and a time in 20 ms, in order."""
        (result,) = self._model.align(encoded, start, [tokens], frames)
        return list(result.alignments)

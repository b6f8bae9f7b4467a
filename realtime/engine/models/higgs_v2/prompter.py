"""Turns messages into prompt positions, by the checkpoint's chat template, tokenizer and audio rows.

A prompt is one array tokens [N, K] int64: a text position holds its id and then -1s, an audio position holds the K ids
of one delayed row. What a user says can never become a control token.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from codec_stream.errors import CheckpointError
from realtime.engine.errors import RequestError, Silent
from realtime.engine.models.higgs_v2.checkpoint import Checkpoint
from realtime.engine.models.higgs_v2.prompting import Message, TextPart, messages
from realtime.engine.models.speech_model import RowsOf, Spoken
from realtime.request import Voicing

_SPEAKER = re.compile(r"\[SPEAKER\d{1,2}\]")


def markers_of(checkpoint: Checkpoint) -> list[str]:
    """List the control markers, which no text may hold, the longest first."""
    added = checkpoint.tokenizer.get_added_tokens_decoder().values()
    return sorted((token.content for token in added if token.special), key=len, reverse=True)


class Prompter:
    """Renders prompts for one checkpoint. `front_end` turns text to speak into what the checkpoint reads."""

    def __init__(self, checkpoint: Checkpoint, front_end: Callable[[str], str]) -> None:
        self._checkpoint = checkpoint
        self._front_end = front_end
        self._template = _compile(checkpoint.chat_template)
        self._tokenizer = checkpoint.tokenizer
        self._markers = markers_of(checkpoint)
        audio_token = self._tokenizer.id_to_token(checkpoint.config.audio_token_id)
        if audio_token is None:
            raise CheckpointError(f"tokenizer.json has no token {checkpoint.config.audio_token_id} (audio_token_id).")

    def prompt(self, voicing: Voicing, spoken: list[Spoken], text: str, rows_of: RowsOf) -> np.ndarray:
        """Word what is to be voiced for this model, and return its tokens [N, K] as `tokens` does."""
        return self.tokens(messages(voicing, text), spoken, text, rows_of)

    def tokens(self, messages: list[Message], spoken: list[Spoken], text: str, rows_of: RowsOf) -> np.ndarray:
        """Return the tokens [N, K] of a prompt that ends where the first (all-BOS) audio row goes.

        Raises RequestError for text that holds control markers and for roles the template refuses; Silent where the
        front end leaves nothing of `text` to say.
        """
        turns: list[dict[str, Any]] = []
        clips: list[np.ndarray] = []
        for index, message in enumerate(messages):
            parts: list[dict[str, str]] = []
            for part in message.parts:
                if isinstance(part, TextPart):
                    content = self._read(part.text, f"messages[{index}]", message.role)
                    parts.append({"type": "text", "text": content})
                else:
                    parts.append({"type": "audio"})
                    clips.append(rows_of(part))
            turns.append({"role": message.role, "content": parts})
        for utterance in spoken:
            turns.append(_user(self._front_end(utterance.text)))
            turns.append({"role": "assistant", "content": [{"type": "audio"}]})
            clips.append(utterance.rows)
        spoken_form = self._read(text, "text", "user")
        if not any(character.isalnum() for character in _SPEAKER.sub("", spoken_form)):
            raise Silent("The text holds nothing that can be said.")
        turns.append(_user(spoken_form))
        return self._assemble(self._render(turns), clips)

    def _read(self, text: str, field: str, role: str) -> str:
        """Return text as the checkpoint reads it. Raises RequestError for text that holds control markers."""
        # a user turn among the messages is the transcript of a reference clip: it is read the way the text will be
        read = self._front_end(text) if role == "user" else text
        for marker in self._markers:
            if marker in text or marker in read:
                raise RequestError(field, f"The text holds the reserved marker {marker!r}; remove it.")
        return read

    def _render(self, turns: list[dict[str, Any]]) -> str:
        try:
            return str(
                self._template.render(messages=turns, add_generation_prompt=True, bos_token=self._checkpoint.bos_token)
            )
        except TemplateError as error:
            raise RequestError("messages", f"The checkpoint's chat template refuses these messages: {error}") from error

    def _assemble(self, text: str, clips: list[np.ndarray]) -> np.ndarray:
        config = self._checkpoint.config
        ids = np.array(self._tokenizer.encode(text, add_special_tokens=False).ids, dtype=np.int64)
        places = np.flatnonzero(ids == config.audio_token_id)
        if len(places) != len(clips):
            raise RequestError(
                "messages",
                f"The checkpoint's chat template placed {len(places)} audio markers for {len(clips)} clips; it should "
                "place one for each.",
            )
        pieces: list[np.ndarray] = []
        at = 0
        for place, rows in zip(places, clips, strict=True):
            pieces += [_text_tokens(ids[at:place], config.num_codebooks), rows.astype(np.int64)]
            at = int(place) + 1
        pieces.append(_text_tokens(ids[at:], config.num_codebooks))
        return np.concatenate(pieces)


def _user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": text}]}


def _text_tokens(ids: np.ndarray, num_codebooks: int) -> np.ndarray:
    tokens = np.full((len(ids), num_codebooks), -1, dtype=np.int64)
    tokens[:, 0] = ids
    return tokens


def _compile(source: str) -> Any:
    """Compile a chat template in the same sandbox and dialect as transformers does. Raises CheckpointError."""

    def raise_exception(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.globals["raise_exception"] = raise_exception
    try:
        return environment.from_string(source)
    except TemplateError as error:
        raise CheckpointError(f"the chat template does not compile: {error}") from error

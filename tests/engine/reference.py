"""Scope: transformers' processor, model and generation loop as the reference of the parity tests."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import transformers
from transformers import DacFeatureExtractor, HiggsAudioV2ForConditionalGeneration, PreTrainedTokenizerFast
from transformers.models.higgs_audio_v2.processing_higgs_audio_v2 import HiggsAudioV2Processor

from realtime.engine.models.higgs_v2.prompting import Message, TextPart
from realtime.request import Clip
from tests.engine.harness import samples_of
from tests.oracle import transformers_codec


@dataclass(frozen=True)
class Past:
    """A clause spoken before: its text and rows (all-BOS row first)."""

    text: str
    rows: np.ndarray


class Reference:
    """One checkpoint as transformers sees it."""

    def __init__(self, folder: Path) -> None:
        self.model = HiggsAudioV2ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        codec = transformers_codec(folder / "codec")
        # without torchaudio, transformers puts a placeholder where the processor looks for its codec's class
        with patch.object(transformers, "HiggsAudioV2TokenizerModel", type(codec)):
            self.processor = HiggsAudioV2Processor(
                DacFeatureExtractor(sampling_rate=24000, hop_length=960),
                self.tokenizer,
                codec,
                chat_template=(folder / "chat_template.jinja").read_text(),
            )

    def inputs(self, messages: list[Message], text: str, past: tuple[Past, ...] = ()) -> dict[str, torch.Tensor]:
        """What the processor makes of a conversation. Clauses spoken before have rows, not audio, so where there are
        any its steps are taken one by one: template, audio rows, placeholders, tokenizer."""
        turns = [_turn(message) for message in messages]
        for clause in past:
            turns += [_text_turn("user", clause.text), {"role": "assistant", "content": [{"type": "audio"}]}]
        turns.append(_text_turn("user", text))
        prompt = self.processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        clips = [samples_of(part) for message in messages for part in message.parts if isinstance(part, Clip)]
        if not past:
            made = self.processor(
                text=prompt, audio=clips or None, sampling_rate=24000, return_tensors="pt", add_special_tokens=False
            )
            return dict(made)
        rows = [self._clip_rows(samples) for samples in clips] + [torch.from_numpy(clause.rows) for clause in past]
        pieces = prompt.split(self.processor.audio_token)
        assert len(pieces) == len(rows) + 1
        whole = pieces[0]
        for each, piece in zip(rows, pieces[1:], strict=True):
            whole += self.processor.get_audio_tokens(len(each)) + piece
        inputs = dict(self.tokenizer([whole], return_tensors="pt", add_special_tokens=False))
        stacked = torch.cat([each.long() for each in rows])[None]
        return inputs | {
            "audio_input_ids": stacked,
            "audio_input_ids_mask": torch.ones(stacked.shape[:2], dtype=torch.bool),
        }

    def tokens(self, inputs: dict[str, torch.Tensor]) -> np.ndarray:
        """The same prompt as [N, K]: text ids in column 0, rows where the placeholders are."""
        ids = inputs["input_ids"][0].numpy()
        config = self.model.config
        tokens = np.full((len(ids), config.num_codebooks), -1, dtype=np.int64)
        audio = (ids == config.audio_token_id) | (ids == config.audio_delay_token_id)
        tokens[~audio, 0] = ids[~audio]
        if audio.any():
            tokens[audio] = inputs["audio_input_ids"][0][inputs["audio_input_ids_mask"][0]].numpy()
        return tokens

    @torch.no_grad()
    def greedy(self, inputs: dict[str, torch.Tensor], max_rows: int) -> np.ndarray:
        """Rows [R, K] after the all-BOS row, at most `max_rows`, up to and with the all-EOS row."""
        before = inputs["audio_input_ids"].shape[1] if "audio_input_ids" in inputs else 0
        kept = {key: value for key, value in inputs.items() if key != "token_type_ids"}
        ids = self.model.generate(
            **kept, do_sample=False, temperature=None, top_k=None, top_p=None, max_new_tokens=max_rows + 1
        )
        rows = ids[0, before:].numpy()
        assert (rows[0] == self.model.config.audio_stream_bos_id).all()
        return rows[1:]

    def _clip_rows(self, samples: np.ndarray) -> torch.Tensor:
        alone = self.processor(
            text=self.processor.audio_token,
            audio=[samples],
            sampling_rate=24000,
            return_tensors="pt",
            add_special_tokens=False,
        )
        return alone["audio_input_ids"][0]


def _turn(message: Message) -> dict[str, Any]:
    content = [
        {"type": "text", "text": part.text} if isinstance(part, TextPart) else {"type": "audio"}
        for part in message.parts
    ]
    return {"role": message.role, "content": content}


def _text_turn(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text}]}

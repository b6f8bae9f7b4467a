"""Defines the checkpoint's prompt: special tokens, chat template and tokenizer.

They stand in one place so that training and serving cannot differ. The template has the roles and tokens of the
released Higgs Audio V2 checkpoint (Llama-3 headers without their line breaks). Words that occur in every prompt are
single tokens, so that a prompt costs a small model a dozen positions and not a hundred.
"""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split

from realtime.engine.models.higgs_v2.prompting import DEFAULT_SCENE, ONE_VOICE, SEVERAL_VOICES
from realtime.text.symbols import PHONES, STRESS, VOWELS

BOS, EOT, PAD, UNKNOWN = "<|begin_of_text|>", "<|eot_id|>", "<|end_of_text|>", "<|unknown|>"
HEADER, HEADER_END = "<|start_header_id|>", "<|end_header_id|>"
SCENE, SCENE_END = "<|scene_desc_start|>", "<|scene_desc_end|>"
AUDIO, AUDIO_BOS, AUDIO_EOS, DELAY = (
    "<|AUDIO_OUT|>",
    "<|audio_out_bos|>",
    "<|audio_eos|>",
    "<|reserved_special_token_6|>",
)
SPECIAL = (PAD, BOS, EOT, UNKNOWN, HEADER, HEADER_END, SCENE, SCENE_END, AUDIO, AUDIO_BOS, AUDIO_EOS, DELAY)
SYSTEM, SEVERAL, ROOM = ONE_VOICE, SEVERAL_VOICES, DEFAULT_SCENE
SPEAKERS = 4

CHAT_TEMPLATE = """\
{%- macro parts(content) -%}
{%- if content is string -%}{{ content }}{%- else -%}
{%- for part in content -%}
{%- if part['type'] == 'text' -%}{{ part['text'] }}\
{%- elif part['type'] == 'audio' -%}<|audio_out_bos|><|AUDIO_OUT|><|audio_eos|>{%- endif -%}
{%- if not loop.last -%}{{ '\\n' }}{%- endif -%}
{%- endfor -%}{%- endif -%}
{%- endmacro -%}
<|begin_of_text|>
{%- for message in messages -%}
{%- if message['role'] == 'system' -%}
<|start_header_id|>system<|end_header_id|>{{ parts(message['content']) }}
{%- if messages[loop.index0 + 1] is defined and messages[loop.index0 + 1]['role'] == 'scene' -%}
<|scene_desc_start|>{{ parts(messages[loop.index0 + 1]['content']) }}<|scene_desc_end|>
{%- endif -%}<|eot_id|>
{%- elif message['role'] != 'scene' -%}
<|start_header_id|>{{ message['role'] }}<|end_header_id|>{{ parts(message['content']) }}<|eot_id|>
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<|start_header_id|>assistant<|end_header_id|><|audio_out_bos|>{%- endif -%}
"""


def single_tokens(voices: list[str]) -> list[str]:
    """List the strings of the prompt that are one token each."""
    tags = [f"[SPEAKER{i}]" for i in range(SPEAKERS)] + [f"SPEAKER{i}:" for i in range(SPEAKERS)]
    return ["system", "user", "assistant", SYSTEM, SEVERAL, ROOM, *tags, *voices]


def build_tokenizer(voices: list[str]) -> Tokenizer:
    """Build a tokenizer with one token a character.

    A stressed vowel is one token with its mark, and so is each special and prompt word.
    """
    ascii_characters = ["\n", *(chr(code) for code in range(32, 127))]
    phones = [symbol for symbol in PHONES.values() if symbol not in ascii_characters]
    stressed = [STRESS + PHONES[name] for name in sorted(VOWELS)]
    words = [*SPECIAL, *single_tokens(voices), *ascii_characters, *phones, *stressed]
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = Split(Regex(rf"{STRESS}?[\s\S]"), "isolated")
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in single_tokens(voices)])
    return tokenizer


def write_tokenizer(folder: Path, voices: list[str], positions: int) -> None:
    build_tokenizer(voices).save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOT,
        "pad_token": PAD,
        "unk_token": UNKNOWN,
        "padding_side": "left",
        "clean_up_tokenization_spaces": False,
        "model_max_length": positions,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    special = {"bos_token": BOS, "eos_token": EOT, "pad_token": PAD, "unk_token": UNKNOWN}
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n", encoding="utf-8")
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")


def opening(scene: str, system: str = SYSTEM) -> str:
    described = f"{SCENE}{scene}{SCENE_END}" if scene else ""
    return f"{BOS}{HEADER}system{HEADER_END}{system}{described}{EOT}"


def user_turn(text: str) -> str:
    return f"{HEADER}user{HEADER_END}{text}{EOT}"


ASSISTANT = f"{HEADER}assistant{HEADER_END}{AUDIO_BOS}"
"""The text before the rows of an assistant turn; behind them stands `AUDIO_EOS + EOT`."""

"""Write the trained parts as one checkpoint folder that the engine and stock transformers load.

python -m training.export WORK FOLDER
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import torch
from transformers import HiggsAudioV2Config, HiggsAudioV2ForConditionalGeneration

from codec_stream.rate import SAMPLE_RATE
from training import checkpointing, codec_folder, prompt
from training.codec import RATIOS, build_decoder
from training.language import pocket_config
from training.prepare import load_quantizer
from training.quantizer import Quantizer
from training.speech import VOICES

SAMPLING = {"do_sample": True, "temperature": 0.15, "top_k": 20, "top_p": 0.9}
"""The temperature is low, and sampling is not repetition-aware: a steady vowel is the same code again and again, and so
is the voice's code."""
MAX_CLAUSE_CHARS = 60  # as long as the clauses it was trained on
MAX_SCENE_CHARS = 200  # it knows a room and its speakers; an assistant's instructions make it stutter
CONTEXT_CLAUSES = 0  # the scene holds the voice; its own speech before a clause only spreads mistakes
CARD = Path(__file__).parent / "card.md"


class Described(Protocol):
    """Says what the folder tells of a voice."""

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str: ...


def export(
    work: Path,
    folder: Path,
    voices: Sequence[Described] = VOICES,
    books: Callable[[Path], Quantizer] = load_quantizer,
    text: Path = CARD,
    recipe: str = "training.pocket",
) -> None:
    """Write FOLDER from WORK: its `voices`, the codebooks that `books` finds there, and the model card `text`.

    Raises FileNotFoundError where a stage of `recipe` has not run yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for stage in ("quantizer.npz", "decoder.pt", "language.pt"):
        if not (work / stage).exists():
            raise FileNotFoundError(
                f"{work / stage} is missing: run the stage that makes it first (`python -m {recipe}`)"
            )
    names = [voice.name for voice in voices]
    config = _language(work, folder, names)
    fitted = books(work)
    decoder_state = checkpointing.read(work / "decoder.pt")
    decoder = build_decoder(fitted.dims, decoder_state["model"]["conv1.conv.weight"].shape[0])
    decoder.load_state_dict(decoder_state["model"])
    encoder_state = checkpointing.load(work / "encoder.pt")
    codec_folder.write(folder / "codec", fitted, decoder, encoder_state and encoder_state["model"], RATIOS)
    prompt.write_tokenizer(folder, names, config.max_position_embeddings)
    _write(
        folder,
        "generation_config.json",
        {**SAMPLING, "eos_token_id": config.eos_token_id, "pad_token_id": config.pad_token_id},
    )
    _write(folder, "processor_config.json", processor(config))
    _write(folder, "preprocessor_config.json", FEATURES)
    (folder / "README.md").write_text(card(work, text), encoding="utf-8")
    for file in folder.rglob("*"):  # safetensors writes files that only their owner may read
        file.chmod(0o755 if file.is_dir() else 0o644)
    _write(folder, "voiced.json", manifest(voices))  # last: marks the folder complete


def _language(work: Path, folder: Path, names: list[str]) -> HiggsAudioV2Config:
    """Weights in bfloat16; the folder's `config.json` comes with them."""
    state = checkpointing.read(work / "language.pt")["model"]
    if (work / "language" / "config.json").exists():
        config = HiggsAudioV2Config.from_pretrained(work / "language")
    else:
        config = pocket_config(prompt.build_tokenizer(names))
    model = HiggsAudioV2ForConditionalGeneration(config)
    model.load_state_dict(state)
    model.generation_config.eos_token_id = config.eos_token_id
    model.to(torch.bfloat16).save_pretrained(folder)
    return config


def processor(config: HiggsAudioV2Config) -> dict[str, object]:
    return {
        "processor_class": "HiggsAudioV2Processor",
        "audio_token": prompt.AUDIO,
        "audio_bos_token": prompt.AUDIO_BOS,
        "audio_eos_token": prompt.AUDIO_EOS,
        "audio_delay_token": prompt.DELAY,
        "audio_stream_bos_id": config.audio_stream_bos_id,
        "audio_stream_eos_id": config.audio_stream_eos_id,
        "audio_tokenizer": {
            "audio_tokenizer_class": "HiggsAudioV2TokenizerModel",
            "audio_tokenizer_name_or_path": "codec",
        },
    }


def card(work: Path, text: Path = CARD) -> str:
    """Return the model card, with the last line of each trainer's log."""
    lines = []
    for title, name in (("decoder", "decoder.log"), ("encoder", "encoder.log"), ("language model", "language.log")):
        if (work / name).exists():
            entries = [json.loads(line) for line in (work / name).read_text(encoding="utf-8").splitlines()]
            held_out = [entry for entry in entries if "validation_c0" in entry]
            last = (held_out or entries or [{}])[-1]
            lines.append(
                f"- {title}: " + ", ".join(f"{key} {value}" for key, value in last.items() if key != "seconds")
            )
    return text.read_text(encoding="utf-8").replace("@TRAINING@", "\n".join(lines))


FEATURES = {
    "feature_extractor_type": "DacFeatureExtractor",
    "feature_size": 1,
    "hop_length": 960,
    "padding_side": "right",
    "padding_value": 0.0,
    "return_attention_mask": True,
    "sampling_rate": SAMPLE_RATE,
}


def manifest(voices: Sequence[Described] = VOICES) -> dict[str, object]:
    return {
        "name": "pocket",
        "kind": "speech",
        "front_end": "phonemes",
        "default_voice": voices[0].name,
        "voices": [{"name": voice.name, "scene": voice.name, "description": voice.description} for voice in voices],
        "max_clause_chars": MAX_CLAUSE_CHARS,
        "max_scene_chars": MAX_SCENE_CHARS,
        "context_clauses": CONTEXT_CLAUSES,
    }


def _write(folder: Path, name: str, value: dict[str, object]) -> None:
    (folder / name).write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    export(options.work, options.folder)
    size = sum(file.stat().st_size for file in options.folder.rglob("*") if file.is_file())
    print(f"{options.folder}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

"""Words what is to be voiced as the messages that Higgs Audio V2 was trained on.

* A voice the model picks: a system message and a scene.
* A described voice: a line of the scene; `SPEAKER0: feminine` lines describe the speakers of a dialogue.
* A cloned voice: its transcript as a user's message, its clip as the assistant's.
* Several cloned voices: the clips inside the scene, each after its speaker's tag.

Source: the prompts in boson-ai/higgs-audio, `examples/generation.py`.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from realtime.request import Clip, RegisteredClip, Voicing

ONE_VOICE = "Generate audio following instruction."
SEVERAL_VOICES = (
    "You are an AI assistant designed to convert text into speech.\n"
    "If the user's message includes a [SPEAKER*] tag, do not read out the tag and generate speech for the following "
    "text, using the specified voice.\n"
    "If no speaker tag is present, select a suitable voice on your own."
)
DEFAULT_SCENE = "Audio is recorded from a quiet room."
_SPEAKER = re.compile(r"\[?SPEAKER\d")


class TextPart(msgspec.Struct, frozen=True, tag="text"):
    """Holds words as the chat template will see them."""

    text: str


Part = TextPart | RegisteredClip | Clip


class Message(msgspec.Struct, frozen=True):
    """Holds one message of the prompt. The checkpoint's chat template gives it its form."""

    role: Literal["system", "scene", "user", "assistant"]
    parts: list[Part]


def messages(voicing: Voicing, text: str) -> list[Message]:
    """Word everything that comes before the text to speak. `text` is only looked at for speakers' tags."""
    several = bool(voicing.speakers or _SPEAKER.search(voicing.scene) or _SPEAKER.search(text))
    system = voicing.system or (SEVERAL_VOICES if several else ONE_VOICE)
    scene: list[Part] = [TextPart(line) for line in voicing.scene.splitlines() if line.strip()]
    if not scene:
        scene.append(TextPart(DEFAULT_SCENE))
    for speaker in voicing.speakers:
        if speaker.clip is not None:
            scene += [TextPart(f"{speaker.tag}:"), speaker.clip]
        elif speaker.description:
            scene.append(TextPart(f"{speaker.tag}: {speaker.description}"))
    if voicing.voice:
        scene.append(TextPart(voicing.voice))
    turns: list[Message] = []
    for reference in voicing.references:
        turns += [Message("user", [TextPart(reference.transcript)]), Message("assistant", [reference.clip])]
    return [Message("system", [TextPart(system)]), Message("scene", scene), *turns]

"""From a session to the messages before its speech: system, scene, voices, references, in the form Higgs knows.

* smart voice: no reference; the model picks.
* scene: the session's instructions, line by line; `SPEAKER0: feminine` lines describe speakers.
* one cloned voice: its transcript as a user turn, its clip as an assistant turn.
* several cloned voices: the clips inside the scene, each after its speaker's tag.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from protocol.errors import Refused
from realtime.request import ClipPart, Message, Part, TextPart, VoicePart
from realtime.session.conversation import Conversation, Entry
from realtime.session.settings import ITEM_VOICE, Runtime, Settings, Voice

ONE_VOICE = "Generate audio following instruction."
SEVERAL_VOICES = (
    "You are an AI assistant designed to convert text into speech.\n"
    "If the user's message includes a [SPEAKER*] tag, do not read out the tag and generate speech for the following "
    "text, using the specified voice.\n"
    "If no speaker tag is present, select a suitable voice on your own."
)
DEFAULT_SCENE = "Audio is recorded from a quiet room."
_SPEAKER = re.compile(r"\[?SPEAKER\d")


def messages(settings: Settings, conversation: Conversation, voices: Mapping[str, Voice], text: str) -> list[Message]:
    """All that comes before the first text to speak. `voices` are those asked for, by name; `text` is only looked at
    for speaker tags."""
    dialogue = bool(settings.speakers or _SPEAKER.search(settings.instructions) or _SPEAKER.search(text))
    systems = [entry.text for entry in conversation.entries if entry.role == "system"]
    system = systems[-1] if systems else (SEVERAL_VOICES if dialogue else ONE_VOICE)
    scene: list[Part] = [TextPart(line) for line in settings.instructions.splitlines() if line.strip()]
    if not scene:
        scene.append(TextPart(DEFAULT_SCENE))
    turns: list[Message] = []
    for tag, name in sorted(settings.speakers.items()):
        scene += _speaker(tag, name, conversation, voices)
    if settings.voice and not settings.speakers:
        voice = voices.get(settings.voice)
        if voice is not None and voice.kind == "scene":
            scene += [TextPart(voice.text)] if voice.text else []  # without a line the model picks
        else:
            transcript, clip = _reference(settings.voice, voice, conversation)
            turns += [Message("user", [TextPart(transcript)]), Message("assistant", [clip])]
    for entry in conversation.entries:
        if entry.clip is not None and entry.role == "assistant":
            turns += [Message("user", [TextPart(entry.text)]), Message("assistant", [ClipPart(entry.clip)])]
    return [Message("system", [TextPart(system)]), Message("scene", scene), *turns]


def asked_for(settings: Settings, runtime: Runtime) -> dict[str, Voice]:
    """The voices, of those there are, that these settings ask for."""
    names = {settings.voice, *settings.speakers.values()}
    return {name: runtime.voices[name] for name in names if name in runtime.voices}


def _speaker(tag: str, name: str, conversation: Conversation, voices: Mapping[str, Voice]) -> list[Part]:
    voice = voices.get(name)
    if voice is not None and voice.kind == "scene":
        return [TextPart(f"{tag}: {voice.text}")] if voice.text else []
    return [TextPart(f"{tag}:"), _reference(name, voice, conversation)[1]]


def _reference(name: str, voice: Voice | None, conversation: Conversation) -> tuple[str, Part]:
    if voice is not None:
        return voice.text, VoicePart(voice.name)
    if not name.startswith(ITEM_VOICE):
        raise Refused("invalid_value", f"Voice {name!r} has been deleted; choose another.", "voice")
    entry: Entry = conversation.find(name.removeprefix(ITEM_VOICE), "item_retrieve_invalid_item_id")
    if entry.clip is None:
        raise Refused("invalid_value", f"Item {entry.item.id!r} holds no audio to take a voice from.", "voice")
    if not entry.text:
        message = f"Item {entry.item.id!r} has no transcript; a voice needs the words said in its clip."
        raise Refused("invalid_value", message, "voice")
    return entry.text, ClipPart(entry.clip)

"""Settles what is to be voiced, from a session's settings and its conversation: the scene, the voice, the speakers."""

from __future__ import annotations

from protocol.errors import Refused
from realtime.request import Clip, Reference, RegisteredClip, Speaker, Voicing
from realtime.session.conversation import Conversation, Entry
from realtime.session.settings import ITEM_VOICE, Runtime, Settings, Voice


def voicing_of(settings: Settings, conversation: Conversation, runtime: Runtime) -> Voicing:
    """Gather what comes before the first word. Raises Refused for a voice that does not exist or cannot be used."""
    systems = [entry.text for entry in conversation.entries if entry.role == "system"]
    speakers = [_speaker(tag, name, conversation, runtime) for tag, name in sorted(settings.speakers.items())]
    voice, references = "", []
    if settings.voice and not speakers:
        known = runtime.voices.get(settings.voice)
        if known is not None and known.kind == "scene":
            voice = known.text  # if the line is empty, the model picks a voice
        else:
            references.append(_reference(settings.voice, known, conversation))
    for entry in conversation.entries:
        if entry.clip is not None and entry.role == "assistant":
            references.append(Reference(entry.text, Clip(entry.clip)))
    scene = settings.instructions if settings.is_scene(runtime) else ""
    system = systems[-1] if systems and len(systems[-1]) <= runtime.max_scene_chars else ""
    return Voicing(system, scene, voice, references, speakers)


def _speaker(tag: str, name: str, conversation: Conversation, runtime: Runtime) -> Speaker:
    known = runtime.voices.get(name)
    if known is not None and known.kind == "scene":
        return Speaker(tag, description=known.text)
    return Speaker(tag, clip=_reference(name, known, conversation).clip)


def _reference(name: str, known: Voice | None, conversation: Conversation) -> Reference:
    if known is not None:
        return Reference(known.text, RegisteredClip(known.name))
    if not name.startswith(ITEM_VOICE):
        raise Refused("invalid_value", f"Voice {name!r} has been deleted; choose another.", "voice")
    entry: Entry = conversation.find(name.removeprefix(ITEM_VOICE), "item_retrieve_invalid_item_id")
    if entry.clip is None:
        raise Refused("invalid_value", f"Item {entry.item.id!r} holds no audio to take a voice from.", "voice")
    if not entry.text:
        message = f"Item {entry.item.id!r} has no transcript; a voice needs the words said in its clip."
        raise Refused("invalid_value", message, "voice")
    return Reference(entry.text, Clip(entry.clip))

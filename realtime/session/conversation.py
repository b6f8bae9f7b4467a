"""The dialogue: items in order, each with what the client may see and what the session must remember of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec import UNSET
from msgspec.structs import replace

from protocol.objects import Content, InputAudio, InputText, Item, ItemStatus, NewItem, OutputAudio, OutputText
from realtime.session.errors import Refused
from realtime.session.playout import Playout

MAX_ITEMS = 512


@dataclass
class Entry:
    """One item. `playout` is there for what the session spoke itself, with the samples a client says it heard of it;
    `clip` holds a client's audio."""

    item: Item
    clip: bytes | None = None
    playout: Playout | None = None
    heard: int | None = None

    @property
    def text(self) -> str:
        """The words of the item: written, transcribed or spoken."""
        words = []
        for part in self.item.content:
            if isinstance(part, (InputText, OutputText)):
                words.append(part.text)
            elif part.transcript is not UNSET and part.transcript:
                words.append(part.transcript)
        return "\n".join(words)


@dataclass
class Conversation:
    """Items, oldest first."""

    entries: list[Entry] = field(default_factory=list)

    def find(self, item_id: str, code: str, param: str = "item_id") -> Entry:
        """The item with this id; raises Refused with `code` for the field `param`."""
        for entry in self.entries:
            if entry.item.id == item_id:
                return entry
        raise Refused(code, f"There is no item {item_id!r} in this conversation.", param)

    def insert(self, entry: Entry, previous: str | None) -> str | None:
        """Put an item after `previous` ("root": first; None: last); returns the id it now follows."""
        if len(self.entries) >= MAX_ITEMS:
            raise Refused("too_many_items", f"A conversation holds at most {MAX_ITEMS} items; delete some.", "item")
        if any(other.item.id == entry.item.id for other in self.entries):
            raise Refused("item_create_duplicate_item_id", f"There already is an item {entry.item.id!r}.", "item.id")
        if previous is None:
            at = len(self.entries)
        elif previous == "root":
            at = 0
        else:
            at = self.entries.index(self.find(previous, "item_create_invalid_previous_item_id", "previous_item_id")) + 1
        self.entries.insert(at, entry)
        return self.entries[at - 1].item.id if at else None

    def said(self) -> list[tuple[str, str]]:
        """The dialogue as text, for whoever decides what to say next."""
        return [(entry.item.role, entry.text) for entry in self.entries]


def entry_from(new: NewItem, item_id: str, max_clip_samples: int) -> Entry:
    """A client's item, checked: words that are words, audio that is PCM. Raises Refused."""
    shown: list[Content] = []
    clip: bytes | None = None
    for index, part in enumerate(new.content):
        where = f"item.content[{index}]"
        if isinstance(part, (InputText, OutputText)):
            _check_text(part.text, f"{where}.text")
            shown.append(part)
            continue
        if new.role != ("user" if isinstance(part, InputAudio) else "assistant"):
            kind = part.__struct_config__.tag
            raise Refused("invalid_value", f"A {new.role} item cannot hold {kind}.", f"{where}.type")
        audio, transcript = part.audio, part.transcript
        if audio is UNSET and (transcript is UNSET or not transcript):
            raise Refused("invalid_value", "Give the audio, its transcript, or both.", where)
        if transcript is not UNSET and transcript:
            _check_text(transcript, f"{where}.transcript")
        if audio is not UNSET:
            _check_clip(audio, max_clip_samples, f"{where}.audio")
            if clip is not None:
                message = "An item holds one clip; send the next in an item of its own."
                raise Refused("invalid_value", message, f"{where}.audio")
            clip = audio
        shown.append(_without_audio(part))
    if clip is not None and not any(_words(part) for part in shown):
        raise Refused(
            "missing_required_parameter",
            "A reference clip needs the words that are said in it; add its transcript.",
            "item.content[0].transcript",
        )
    return Entry(Item(item_id, new.role, "completed", shown), clip=clip)


def _without_audio(part: InputAudio | OutputAudio) -> Content:
    """The part as it is shown: audio is remembered, not repeated."""
    if isinstance(part, InputAudio):
        return InputAudio(transcript=part.transcript)
    return OutputAudio(transcript=part.transcript if part.transcript is not UNSET else "")


def with_transcript(item: Item, transcript: str, status: ItemStatus) -> Item:
    """The item of a response, with what was spoken."""
    return replace(item, status=status, content=[OutputAudio(transcript=transcript)])


def _words(part: Content) -> str:
    if isinstance(part, (InputText, OutputText)):
        return part.text
    return part.transcript if part.transcript is not UNSET and part.transcript else ""


def _check_text(text: str, where: str) -> None:
    if not text.strip():
        raise Refused("invalid_value", "The text is empty; send words.", where)


def _check_clip(pcm: bytes, max_samples: int, where: str) -> None:
    if pcm[:4] in (b"RIFF", b"fLaC", b"OggS"):
        raise Refused("invalid_value", "This is an audio file; send bare 24 kHz 16-bit mono PCM.", where)
    if not pcm or len(pcm) % 2:
        raise Refused("invalid_value", "PCM must be whole 16-bit samples, and at least one.", where)
    if len(pcm) // 2 > max_samples:
        raise Refused("invalid_value", f"A clip may last at most {max_samples / 24000:g} s; cut it.", where)

"""Keeps the dialogue: items in order, each with what the client may see and what the session must remember of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec import UNSET
from msgspec.structs import replace

from codec_stream.rate import SAMPLE_RATE
from protocol.errors import Refused
from protocol.objects import (
    CallItem,
    CallOutputItem,
    Content,
    InputAudio,
    InputText,
    Item,
    ItemStatus,
    MessageItem,
    NewCall,
    NewCallOutput,
    NewItem,
    NewMessage,
    OutputAudio,
    OutputText,
)
from realtime.agent import brain
from realtime.session.playout import Playout

MAX_ITEMS = 512


@dataclass
class Entry:
    """Holds one item, and what the session must remember of it.

    `clip` holds a client's audio: 24 kHz PCM. `recorded` says that it came through the input buffer. `playout` follows
    what the session spoke itself. `played` is how many samples of that were heard, once it was cut by the client or
    taken back from the playout.
    """

    item: Item
    clip: bytes | None = None
    playout: Playout | None = None
    played: int | None = None
    recorded: bool = False

    @property
    def role(self) -> str:
        """Return whose item it is: system, user, assistant, or for functions call and call_output."""
        match self.item:
            case MessageItem():
                return self.item.role
            case CallItem():
                return "call"
            case CallOutputItem():
                return "call_output"

    @property
    def text(self) -> str:
        """Return the words of the item: written, transcribed or spoken.

        Those of a function call are its arguments, those of a function's output the output.
        """
        match self.item:
            case MessageItem():
                return "\n".join(filter(None, map(_words, self.item.content)))
            case CallItem():
                return self.item.arguments
            case CallOutputItem():
                return self.item.output

    def told(self) -> brain.Entry:
        """Return the item as a brain is told of it."""
        item = self.item
        match item:
            case MessageItem():
                audio = self.clip if self.recorded else None
                return brain.Said(item.role, self.text, item.id, item.status == "incomplete", audio)
            case CallItem():
                return brain.FunctionCall(item.name, item.arguments, item.call_id, item.id)
            case CallOutputItem():
                return brain.FunctionOutput(item.call_id, item.output, item.id)


@dataclass
class Conversation:
    """Keeps the items of a dialogue in their order, oldest first."""

    entries: list[Entry] = field(default_factory=list)

    def find(self, item_id: str, code: str, param: str = "item_id") -> Entry:
        """Return the entry of an item. Raises Refused with `code`, for the field `param`, if there is none."""
        for entry in self.entries:
            if entry.item.id == item_id:
                return entry
        raise Refused(code, f"There is no item {item_id!r} in this conversation.", param)

    def check_room(self) -> None:
        """Raise Refused when no more items fit."""
        if len(self.entries) >= MAX_ITEMS:
            raise Refused("too_many_items", f"A conversation holds at most {MAX_ITEMS} items; delete some.", "item")

    def append(self, entry: Entry) -> str | None:
        """Put an item that the session made at the end; return the id of the item before it, if there is one."""
        self.entries.append(entry)
        return self.previous(entry.item.id)

    def insert(self, entry: Entry, previous: str | None, where: str = "item") -> str | None:
        """Put a client's item after the item `previous`; return the id of the item that it now follows, if any.

        `previous` may be "root" to put it first, or None to put it last. `where` names the field that holds the item.
        Raises Refused when no more items fit, when the id is taken, or when there is no item `previous`.
        """
        self.check_room()
        if any(other.item.id == entry.item.id for other in self.entries):
            taken = f"There already is an item {entry.item.id!r}."
            raise Refused("item_create_duplicate_item_id", taken, f"{where}.id")
        if previous is None:
            at = len(self.entries)
        elif previous == "root":
            at = 0
        else:
            at = self.entries.index(self.find(previous, "item_create_invalid_previous_item_id", "previous_item_id")) + 1
        self.entries.insert(at, entry)
        return self.entries[at - 1].item.id if at else None

    def forget_recordings(self, max_samples: int) -> None:
        """Drop the oldest recorded audio beyond `max_samples`. The items stay."""
        held = 0
        for entry in reversed(self.entries):
            if entry.recorded and entry.clip is not None:
                held += len(entry.clip) // 2
                if held > max_samples:
                    entry.clip = None

    def dialogue(self) -> tuple[brain.Entry, ...]:
        """Return the dialogue as the brain that decides what to say next is told of it."""
        return tuple(entry.told() for entry in self.entries)

    def previous(self, item_id: str) -> str | None:
        """Return the id of the item before this one, if there is one."""
        index = next(index for index, entry in enumerate(self.entries) if entry.item.id == item_id)
        return self.entries[index - 1].item.id if index else None


def entry_from(new: NewItem, new_id: Callable[[str], str], max_clip_samples: int, where: str = "item") -> Entry:
    """Make an entry of a client's item once it is checked: texts are not empty, audio is PCM.

    `new_id` gives the ids that the client left out. Raises Refused with fields under `where`.
    """
    item_id = new.id or new_id("item_")  # UNSET is false as well
    match new:
        case NewMessage():
            return _message(new, item_id, max_clip_samples, where)
        case NewCall():
            call_id = new.call_id or new_id("call_")
            return Entry(CallItem(item_id, new.name, new.arguments, call_id, "completed"))
        case NewCallOutput():
            return Entry(CallOutputItem(item_id, new.call_id, new.output))


def _message(new: NewMessage, item_id: str, max_clip_samples: int, field: str) -> Entry:
    shown: list[Content] = []
    clip: bytes | None = None
    for index, part in enumerate(new.content):
        where = f"{field}.content[{index}]"
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
    if clip is not None and new.role == "assistant" and not any(_words(part) for part in shown):
        raise Refused(
            "missing_required_parameter",
            "A reference clip needs the words that are said in it; add its transcript.",
            f"{field}.content[0].transcript",
        )
    return Entry(MessageItem(item_id, new.role, "completed", shown), clip=clip)


def check_length(entry: Entry, limit: int, where: str) -> None:
    """Raise Refused, for the field `where`, if the words of an item have more than `limit` characters."""
    if len(entry.text) > limit:
        raise too_long(len(entry.text), limit, where)


def too_much_audio(limit_s: float, where: str) -> Refused:
    """Return the refusal of clips that last more than `limit_s` seconds together, for the field `where`."""
    return Refused("too_much_audio", f"A conversation holds at most {limit_s:g} s of clips; delete some.", where)


def too_long(length: int, limit: int, where: str) -> Refused:
    """Return the refusal of a text with more characters than `limit`, for the field `where`."""
    message = f"The text has {length} characters; at most {limit} are spoken at once."
    return Refused("string_above_max_length", message, where)


def _without_audio(part: InputAudio | OutputAudio) -> Content:
    """Return a part as it is shown: its audio is remembered, and not sent back."""
    if isinstance(part, InputAudio):
        return InputAudio(transcript=part.transcript)
    return OutputAudio(transcript=part.transcript if part.transcript is not UNSET else "")


def with_words(item: MessageItem, words: str, status: ItemStatus, written: bool = False) -> MessageItem:
    """Return the message of a response with the words that were spoken, or `written`."""
    part = OutputText(words) if written else OutputAudio(transcript=words)
    return replace(item, status=status, content=[part])


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
        raise Refused("invalid_value", f"A clip may last at most {max_samples / SAMPLE_RATE:g} s; cut it.", where)

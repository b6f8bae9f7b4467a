"""A dialogue as messages of OpenAI's chat format.

The same entries always give the same messages, so that what an endpoint has cached of a conversation stays good from
one turn to the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from realtime.agent.brain import Dialogue, Entry, FunctionCall, FunctionOutput, Said

CUT_SHORT = "[interrupted: the user did not hear the rest]"
NO_OUTPUT = "There is no output yet."

Message = dict[str, Any]


@dataclass(frozen=True)
class Group:
    """Holds messages that belong together, as calls and their outputs do, and the ids of the items they come from."""

    item_ids: tuple[str, ...]
    messages: tuple[Message, ...]
    closed: bool = False
    """Nothing more is put into it: calls of the server's own tools, which are no items."""

    @property
    def chars(self) -> int:
        """Characters of it, names and arguments of calls included."""
        return sum(map(chars_of, self.messages))

    @property
    def begins_turn(self) -> bool:
        """The user has the word in it."""
        return bool(self.messages[0]["role"] == "user")


def groups_of(entries: Sequence[Entry], exchanges: Mapping[str, Sequence[Message]] | None = None) -> list[Group]:
    """Give the dialogue's entries as groups of messages, oldest first. `exchanges` with the server's own tools stand
    behind the item whose id they have.

    Entries of one role in a row are one message: many chat templates want the roles in turn. The outputs of calls stand
    behind the calls, wherever they came; a call that has none yet says so.
    """
    outputs = {entry.call_id: entry for entry in entries if isinstance(entry, FunctionOutput)}
    groups: list[Group] = []
    for entry in entries:
        match entry:
            case Said():
                if text := _said(entry):
                    _add(groups, entry.role, text, entry.item_id)
            case FunctionCall():
                _add_call(groups, entry, outputs.get(entry.call_id))
            case FunctionOutput():
                pass
        if exchanges and (messages := exchanges.get(entry.item_id)):
            groups.append(Group((f"{entry.item_id}+tools",), tuple(messages), closed=True))
    return groups


def tools_of(dialogue: Dialogue, ours: Sequence[Message] = ()) -> Message:
    """Give the fields of a request that offer the client's functions, and `ours` but for those of the same name; none
    where there are none."""
    functions: list[Message] = [
        {
            "type": "function",
            "function": {key: tool[key] for key in ("name", "description", "parameters") if key in tool},
        }
        for tool in dialogue.tools
        if tool.get("type", "function") == "function" and tool.get("name")
    ]
    theirs = {function["function"]["name"] for function in functions}
    functions += [function for function in ours if function["function"]["name"] not in theirs]
    if not functions:
        return {}
    choice: Any = dialogue.tool_choice
    if choice not in ("auto", "none", "required"):
        choice = {"type": "function", "function": {"name": choice}}
    return {"tools": functions, "tool_choice": choice}


def transcript(groups: Sequence[Group]) -> str:
    """Write groups down as lines that say who said what, for a summary."""
    lines = []
    for message in (message for group in groups for message in group.messages):
        for call in message.get("tool_calls", ()):
            lines.append(f"assistant called {call['function']['name']}({call['function']['arguments']})")
        if message.get("content"):
            lines.append(f"{message['role']}: {message['content']}")
    return "\n".join(lines)


def clipped(groups: Sequence[Group], most: int) -> list[Group]:
    """Give the groups with no content longer than `most` characters."""
    return [
        replace(group, messages=tuple(_clipped(message, most) for message in group.messages))
        if group.chars > most
        else group
        for group in groups
    ]


def shortened(text: str, most: int) -> str:
    """Give a text of at most so many characters, and a sign where more was left out."""
    return text if len(text) <= most else f"{text[:most]} […]"


def chars_of(message: Message) -> int:
    """Count the characters of a message, names and arguments of calls included."""
    calls = (call["function"] for call in message.get("tool_calls", ()))
    return len(message.get("content") or "") + sum(len(call["name"]) + len(call["arguments"]) for call in calls)


def _clipped(message: Message, most: int) -> Message:
    content = message.get("content")
    if content is None or len(content) <= most:
        return message
    return {**message, "content": shortened(content, most)}


def _said(entry: Said) -> str:
    text = entry.text.strip()
    if entry.cut_short and entry.role == "assistant":
        return f"{text} {CUT_SHORT}".strip()
    return text


def _add(groups: list[Group], role: str, text: str, item_id: str) -> None:
    last = groups[-1] if groups else None
    alone = last is not None and len(last.messages) == 1 and not last.closed
    if last is not None and alone and last.messages[0]["role"] == role and role != "system":
        before = last.messages[0]
        if "tool_calls" not in before:
            joined = {**before, "content": f"{before['content']}\n{text}"}
            groups[-1] = Group((*last.item_ids, item_id), (joined,))
            return
    groups.append(Group((item_id,), ({"role": role, "content": text},)))


def _add_call(groups: list[Group], entry: FunctionCall, output: FunctionOutput | None) -> None:
    """Put a call and its output behind what the assistant said before it, which is the same turn of its."""
    call = {"id": entry.call_id, "type": "function", "function": {"name": entry.name, "arguments": entry.arguments}}
    told = {"role": "tool", "tool_call_id": entry.call_id, "content": NO_OUTPUT if output is None else output.output}
    ids = (entry.item_id,) if output is None else (entry.item_id, output.item_id)
    last = groups[-1] if groups else None
    if last is not None and last.messages[0]["role"] == "assistant" and not last.closed:
        spoke, *told_before = last.messages
        calling = {**spoke, "tool_calls": [*spoke.get("tool_calls", ()), call]}
        groups[-1] = Group((*last.item_ids, *ids), (calling, *told_before, told))
    else:
        calling = {"role": "assistant", "content": None, "tool_calls": [call]}
        groups.append(Group(ids, (calling, told)))

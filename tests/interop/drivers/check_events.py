"""Checks server events (a file of JSON lines, of "realtime" or "translation" sessions) against the models of the Python
clients: openai-python's model of the event's `type`, strictly, required fields included, and Pipecat's parser of
Realtime events. Tells what does not fit, and which fields the models do not know."""

import json
import sys
from typing import Any, Literal, get_args, get_origin

from facts import tell
from openai.types.realtime import RealtimeServerEvent
from openai.types.realtime.realtime_translation_server_event import RealtimeTranslationServerEvent
from pipecat.services.openai.realtime.events import parse_server_event
from pydantic import BaseModel, ValidationError


def models(union: Any) -> dict[str, type[BaseModel]]:
    """The models of an annotated union by the `type` they are for."""
    (members, *_) = get_args(union)
    found = {}
    for model in get_args(members):
        annotation = model.model_fields["type"].annotation
        assert get_origin(annotation) is Literal
        found.update(dict.fromkeys(get_args(annotation), model))
    return found


def unknown(value: Any, path: str) -> list[str]:
    """Fields that a model kept without knowing them."""
    if isinstance(value, BaseModel):
        here = [f"{path}.{name}" for name in value.model_extra or {}]
        fields = [(getattr(value, name), f"{path}.{name}") for name in type(value).model_fields]
        return here + [more for one, where in fields for more in unknown(one, where)]
    if isinstance(value, list):
        return [more for one in value for more in unknown(one, f"{path}[]")]
    return []


def main(path: str, sessions: str) -> None:
    known = models(RealtimeServerEvent if sessions == "realtime" else RealtimeTranslationServerEvent)
    problems, extra, fatal, kinds = [], set(), [], {}
    with open(path) as lines:
        for line in lines:
            kind = json.loads(line)["type"]
            kinds[kind] = kinds.get(kind, 0) + 1
            model = known.get(kind)
            if model is None:
                problems.append(f"{kind}: the SDK has no such event")
                continue
            try:
                extra.update(unknown(model.model_validate_json(line, strict=True), kind))
            except ValidationError as error:
                problems.append(f"{kind}: {error.errors(include_url=False, include_input=False)[:3]}")
            try:
                if sessions == "realtime":
                    parse_server_event(line)
            except Exception as error:
                fatal.append(f"{kind}: {str(error)[:300]}")
    tell(kinds=kinds, problems=problems, unknown=sorted(extra), pipecat=fatal)


main(*sys.argv[1:])

"""What a driver tells of what it heard: one JSON line, the last of its output."""

import hashlib
import json
from typing import Any


def heard(pcm: bytes, **more: Any) -> dict[str, Any]:
    """16-bit mono PCM as sample count and checksum."""
    return {"samples": len(pcm) // 2, "sha256": hashlib.sha256(pcm).hexdigest(), **more}


def tell(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


def remembered(session: Any) -> str:
    """The assistant's last words as the history of a LiveKit session holds them."""
    said = [item for item in session.history.items if item.type == "message" and item.role == "assistant"]
    return said[-1].text_content or "" if said else ""

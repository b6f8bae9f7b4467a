"""Scope: `/v1/audio/voices`, `/v1/models`."""

from __future__ import annotations

from tests.wires.asking import ask, form
from tests.wires.served import Served
from tests.wires.shown import Json
from tests.wires.sound import clip_file, pcm_shown
from tests.wires.talking import talk, voiced

_PATH = "/v1/audio/voices"
_CLIP = ("audio_sample", clip_file("question"))
_WORDS = ("transcript", "What is the weather going to be like tomorrow?")
_CONSENT = ("consent", "true")


async def uploads(served: Served) -> Json:
    """A voice is uploaded, listed, shown, spoken with, and deleted."""

    async def get(method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Json:
        return (await ask(served.address, method, path, body, headers, key=served.key)).shown()

    found: Json = {"before": await get("GET", _PATH)}
    body, headers = form(("name", "wires"), _CLIP, _WORDS, _CONSENT)
    found["uploaded"] = await get("POST", _PATH, body, headers)
    found["again"] = await get("POST", _PATH, body, headers)
    found["shown"] = await get("GET", f"{_PATH}/wires")
    found["after"] = await get("GET", _PATH)
    asked: Json = {"voice": "wires", "input": "Yes.", "response_format": "pcm", "seed": 7}
    spoken = await ask(served.address, "POST", "/v1/audio/speech", asked, key=served.key)
    found["spoken"] = pcm_shown(spoken.body)
    async with talk(served, session=voiced()) as one:
        await one.say("Yes.", audio={"output": {"voice": "wires"}})
        await one.until("response.done")
        found["deleted"] = await get("DELETE", f"{_PATH}/wires")
        await one.refused("response.create", response={"audio": {"output": {"voice": "wires"}}})
        found["told"] = one.shown()
    found["shown after all"] = await get("GET", f"{_PATH}/wires")
    found["deleted again"] = await get("DELETE", f"{_PATH}/wires")
    found["not ours to delete"] = await get("DELETE", f"{_PATH}/ada")
    found["one of the server's"] = await get("GET", f"{_PATH}/ada")
    found["an alias"] = await get("GET", f"{_PATH}/alloy")
    return found


async def refused(served: Served) -> Json:
    """Uploads that are not taken."""
    forms: dict[str, list[tuple[str, str | bytes]]] = {
        "no name": [_CLIP, _WORDS, _CONSENT],
        "a bad name": [("name", "Élan!"), _CLIP, _WORDS, _CONSENT],
        "the name of a voice": [("name", "ada"), _CLIP, _WORDS, _CONSENT],
        "no clip": [("name", "wires"), _WORDS, _CONSENT],
        "a clip as text": [("name", "wires"), ("audio_sample", "x"), _WORDS, _CONSENT],
        "no sound": [("name", "wires"), ("audio_sample", b"x"), _WORDS, _CONSENT],
        "no transcript": [("name", "wires"), _CLIP, _CONSENT],
        "no words": [("name", "wires"), _CLIP, ("transcript", "…"), _CONSENT],
        "no consent": [("name", "wires"), _CLIP, _WORDS],
        "consent refused": [("name", "wires"), _CLIP, _WORDS, ("consent", "no")],
        "another part": [("name", "wires"), _CLIP, _WORDS, _CONSENT, ("more", "x")],
        "twice": [("name", "wires"), ("name", "wires"), _CLIP, _WORDS],
    }
    found: Json = {}
    for name, parts in forms.items():
        body, headers = form(*parts)
        found[name] = (await ask(served.address, "POST", _PATH, body, headers, key=served.key)).shown()
    found["json"] = (await ask(served.address, "POST", _PATH, {"name": "wires"}, key=served.key)).shown()
    return found


async def models(served: Served) -> Json:
    """The checkpoint that runs, whatever is asked for."""
    paths = ("/v1/models", "/v1/models/pocket", "/v1/models/gpt-realtime", "/v1/models/some/body")
    return {path: (await ask(served.address, "GET", path, key=served.key)).shown() for path in paths}

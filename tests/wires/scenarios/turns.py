"""Scope: input audio on `/v1/realtime`, with and without turn detection. Positions count samples: they do not depend on
the pace."""

from __future__ import annotations

from tests.wires.served import Served
from tests.wires.shown import Json
from tests.wires.sound import clip, silence
from tests.wires.talking import message, talk

_STEP = 4800


async def committed(served: Served) -> list[Json]:
    """Without turn detection the client commits and clears; the recording is an item that can be shown."""
    async with talk(served, session={}) as one:
        await one.refused("input_audio_buffer.commit", event_id="too early")
        await one.send("input_audio_buffer.append", audio=silence(0.05))
        await one.refused("input_audio_buffer.commit")
        await one.send("input_audio_buffer.append", audio=clip("yes"))
        await one.send("input_audio_buffer.commit")
        done = await one.until("conversation.item.done")
        await one.send("conversation.item.retrieve", item_id=done["item"]["id"])
        await one.until("conversation.item.retrieved")
        await one.send("input_audio_buffer.append", audio=clip("yes"))
        await one.send("input_audio_buffer.clear")
        await one.until("input_audio_buffer.cleared")
        await one.refused("input_audio_buffer.commit")
        await one.refused("input_audio_buffer.append", audio=b"odd", event_id="odd")
        await one.refused("input_audio_buffer.append", audio=7)
        await one.refused("input_audio_buffer.append")
        return one.shown()


async def telephone(served: Served) -> list[Json]:
    """Input as mu-law and A-law, a byte a sample; the item holds it as PCM."""
    async with talk(served, session={}) as one:
        for kind in ("audio/pcmu", "audio/pcma"):
            await one.send("session.update", session={"audio": {"input": {"format": {"type": kind}}}})
            await one.until("session.updated")
            await one.send("input_audio_buffer.append", audio=b"\xd5\x55\xff\x7f" * 400)
            await one.send("input_audio_buffer.commit")
            done = await one.until("conversation.item.done")
            await one.send("conversation.item.retrieve", item_id=done["item"]["id"])
            await one.until("conversation.item.retrieved")
        return one.shown()


async def detected(served: Served) -> list[Json]:
    """Two turns are found and become items, whatever the size of the pieces; what was said can be shown."""
    session = {"audio": {"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 400}}}}
    async with talk(served, session=session) as one:
        said = silence(0.5) + clip("yes") + silence(1) + clip("question") + silence(1)
        for at in range(0, len(said), _STEP):
            await one.send("input_audio_buffer.append", audio=said[at : at + _STEP])
        await one.until("input_audio_buffer.committed", 2)
        done = await one.until("conversation.item.done")
        await one.send("conversation.item.retrieve", item_id=done["item"]["id"])
        await one.until("conversation.item.retrieved")
        return one.shown()


async def semantic(served: Served) -> list[Json]:
    """semantic_vad waits for silence too; a change of settings in a turn counts at once."""
    detection = {"type": "semantic_vad", "eagerness": "low"}
    async with talk(served, session={"audio": {"input": {"turn_detection": detection}}}) as one:
        await one.send("input_audio_buffer.append", audio=clip("yes") + silence(1.2))
        await one.until("conversation.item.done")
        await one.send("input_audio_buffer.append", audio=clip("question") + silence(0.5))
        await one.until("input_audio_buffer.speech_started")
        detection["eagerness"] = "high"
        await one.send("session.update", session={"audio": {"input": {"turn_detection": detection}}})
        await one.send("input_audio_buffer.append", audio=silence(0.1))
        await one.until("conversation.item.done")
        return one.shown()


async def taken_over(served: Served) -> list[Json]:
    """In a turn the client commits, clears, or turns detection off."""
    session = {"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 0.4}}}}
    async with talk(served, session=session) as one:
        await one.send("input_audio_buffer.append", audio=clip("question"))
        await one.until("input_audio_buffer.speech_started")
        await one.send("input_audio_buffer.commit")
        await one.until("conversation.item.done")
        await one.send("input_audio_buffer.append", audio=clip("question"))
        await one.until("input_audio_buffer.speech_started")
        await one.send("input_audio_buffer.clear")
        await one.until("input_audio_buffer.cleared")
        await one.send("input_audio_buffer.append", audio=clip("question"))
        await one.until("input_audio_buffer.speech_started")
        await one.send("session.update", session={"audio": {"input": {"turn_detection": None}}})
        await one.until("session.updated")
        await one.send("input_audio_buffer.commit")
        await one.until("conversation.item.done")
        return one.shown()


async def nobody_spoke(served: Served) -> list[Json]:
    """After a response that was heard to its end, nobody speaks for the idle timeout."""
    detection = {"type": "server_vad", "idle_timeout_ms": 200}
    async with talk(served, session={"audio": {"input": {"turn_detection": detection}}}) as one:
        await one.send("input_audio_buffer.append", audio=silence(1))
        await one.send("conversation.item.create", item=message("Yes."))
        await one.send("response.create", response={"voiced": {"seed": 7, "paced": False}})
        await one.until("input_audio_buffer.timeout_triggered")
        await one.until("conversation.item.done")
        return one.shown()

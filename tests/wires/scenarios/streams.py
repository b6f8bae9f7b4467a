"""Scope: text streams, voiced's own: words that are spoken as they come."""

from __future__ import annotations

from tests.wires.served import Served
from tests.wires.shown import Json
from tests.wires.talking import message, talk, voiced


async def streamed(served: Served) -> list[Json]:
    """Words in pieces; a flush in the middle is answered after their audio; the end ends the response."""
    async with talk(served, session=voiced(text_patience_s=60)) as one:
        await one.send("input_text.append", text="It is rain")
        await one.send("input_text.append", text="ing, and ")
        await one.send("input_text.flush")
        await one.until("input_text.flushed")
        await one.send("input_text.append", text="we stay here.")
        await one.send("input_text.end")
        await one.until("response.done")
        return one.shown()


async def together(served: Served) -> list[Json]:
    """Two named streams at once, out of band, one of them written; and one whose words stop in a sentence."""
    async with talk(served, session=voiced(text_patience_s=0)) as one:
        for name, modality in (("left", "audio"), ("right", "text")):
            response = {"conversation": "none", "voiced": {"text_stream": name}, "output_modalities": [modality]}
            await one.send("response.create", response=response)
        await one.send("input_text.append", stream="left", text="Over here.")
        await one.send("input_text.append", stream="right", text="Over there.")
        await one.send("input_text.end", stream="right")
        await one.send("input_text.end", stream="left")
        await one.until("response.done", 2)
        await one.send("input_text.append", stream="patience", text="And then")
        await one.until("response.output_audio.delta")
        await one.send("input_text.end", stream="patience")
        await one.until("response.done")
        return one.shown_by_response()


async def misused(served: Served) -> list[Json]:
    """Streams that are not open, are taken, hold too much, or were cut: then their rest is dropped until the end."""
    async with talk(served, session=voiced()) as one:
        for kind in ("flush", "end"):
            await one.refused(f"input_text.{kind}", stream="nobody")
        await one.refused("input_text.append", text="x" * 65_537)
        await one.refused("input_text.append", stream="x" * 129, text="So.")
        await one.refused("input_text.append")
        await one.send("input_text.append", stream="mine", text="…")
        await one.until("response.created")
        await one.refused("response.create", response={"conversation": "none", "voiced": {"text_stream": "mine"}})
        await one.refused("input_text.append", stream="other", text="Yes.")
        await one.refused("input_text.append", stream="mine", text="x" * 20_000)
        await one.send("response.cancel")
        await one.until("response.done")
        await one.send("input_text.append", stream="mine", text="This is dropped.")
        await one.send("input_text.end", stream="mine")
        await one.send("conversation.item.create", item=message("That was all."))
        await one.until("conversation.item.done")
        return one.shown()

"""Scope: `session.update` on `/v1/realtime`: what can be set, and every kind of refusal."""

from __future__ import annotations

from tests.wires.served import Served
from tests.wires.shown import Json
from tests.wires.talking import talk

_TOOL = {"type": "function", "name": "look", "description": "Looks.", "parameters": {"type": "object"}}
_TAKEN: list[Json] = [
    {
        "type": "realtime",
        "model": "gpt-realtime",
        "instructions": "A quiet library.",
        "output_modalities": ["audio"],
        "max_output_tokens": 750,
        "tools": [_TOOL],
        "tool_choice": {"type": "function", "name": "look"},
        "parallel_tool_calls": False,
        "tracing": "auto",
        "include": ["item.input_audio_transcription.logprobs"],
        "prompt": {"id": "p"},
        "truncation": "auto",
        "reasoning": {"effort": "low"},
        "audio": {
            "input": {
                "format": {"type": "audio/pcmu"},
                "transcription": {"model": "whisper-1", "language": "en"},
                "noise_reduction": {"type": "near_field"},
                "turn_detection": {"type": "server_vad", "threshold": 0.6, "create_response": True},
            },
            "output": {"voice": {"id": "otto"}, "format": {"type": "audio/pcma"}, "speed": 1.1},
        },
        "voiced": {
            "temperature": 0.7,
            "top_k": 50,
            "top_p": 0.9,
            "greedy": False,
            "seed": 7,
            "paced": True,
            "max_lead_s": 0.5,
            "text_patience_s": 2.5,
            "speakers": {"SPEAKER0": "ada", "SPEAKER1": "item:item_1"},
        },
    },
    {"audio": {"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 700, "threshold": None}}}},
    {"audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}}},
    {"audio": {"input": {"turn_detection": None, "transcription": None, "noise_reduction": None}}},
    {"audio": {"output": {"format": {"type": "audio/raw", "encoding": "pcm_f32le", "rate": 48000}, "voice": "alloy"}}},
    {"output_modalities": ["text"], "max_output_tokens": "inf", "tools": [], "tool_choice": "none", "tracing": None},
]
_REFUSED: list[Json] = [
    {"audio": {"output": {"voice": "adda"}}},
    {"audio": {"output": {"voice": "nobody at all"}}},
    {"audio": {"output": {"voice": ""}}},
    {"audio": {"output": {"speed": 9}}},
    {"audio": {"output": {"format": {"type": "audio/pcm", "rate": 16000}}}},
    {"audio": {"output": {"format": {"type": "audio/ogg"}}}},
    {"audio": {"output": {"format": {"type": "audio/raw", "encoding": "pcm_s16le", "rate": 12345}}}},
    {"audio": {"input": {"format": "pcm16"}}},
    {"audio": {"input": {"turn_detection": {"type": "psychic"}}}},
    {"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 2}}}},
    {"audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "none"}}}},
    {"output_modalities": ["audio", "text"]},
    {"output_modalities": ["video"]},
    {"type": "transcription"},
    {"max_output_tokens": 0},
    {"max_output_tokens": "many"},
    {"tools": [{"type": "mcp", "server_label": "x"}]},
    {"tools": [{"type": "function"}]},
    {"tool_choice": "perhaps"},
    {"instructions": 5},
    {"temperature": 0.5},
    {"voiced": {"temperature": 5}},
    {"voiced": {"top_p": 0}},
    {"voiced": {"seed": -1}},
    {"voiced": {"max_lead_s": 0.1}},
    {"voiced": {"speakers": {"ANNA": "ada"}}},
    {"voiced": {"speakers": {"SPEAKER0": "adda"}}},
    {"voiced": {"pitch": 2}},
]


async def settings(served: Served) -> list[Json]:
    """Everything is set, changed and cleared; everything wrong is refused and changes nothing."""
    async with talk(served, protocols=("realtime",)) as one:
        protocol = {"subprotocol": one.connection.subprotocol}
        for session in _TAKEN:
            await one.send("session.update", session=session)
            await one.until("session.updated")
        for at, session in enumerate(_REFUSED):
            await one.refused("session.update", session=session, event_id=f"mine {at}")
        await one.refused("session.update")
        await one.refused("session.update", session={}, surplus=1)
        await one.send("session.update", session={})
        await one.until("session.updated")
        return [protocol, *one.shown()]

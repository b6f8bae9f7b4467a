"""Scope: valid client events, each kind at least once: what tests and fuzzing start from."""

from typing import Any

PCM = bytes(range(256)) * 4

CLIENT_EVENTS: list[dict[str, Any]] = [
    {"type": "session.update", "session": {}},
    {
        "type": "session.update",
        "event_id": "e1",
        "session": {
            "type": "realtime",
            "instructions": "Rain.",
            "audio": {
                "input": {"turn_detection": None, "transcription": {"model": "x"}, "format": {"type": "audio/pcm"}},
                "output": {"voice": "amy", "format": {"type": "audio/pcm", "rate": 24000}, "speed": 1.0},
            },
            "output_modalities": ["audio"],
            "tools": [{"type": "function", "name": "f", "parameters": {"a": [1, 2.5, None, True]}}],
            "voiced": {"temperature": 0.7, "top_k": 50, "top_p": 0.95, "greedy": False, "paced": True, "seed": 3},
        },
    },
    {"type": "session.update", "session": {"audio": {"output": {"voice": {"id": "amy"}}}}},
    {"type": "session.update", "session": {"voiced": {"speakers": {"SPEAKER0": "amy", "SPEAKER12": "item:x"}}}},
    {
        "type": "conversation.item.create",
        "previous_item_id": "root",
        "item": {"type": "message", "role": "user", "id": "i", "content": [{"type": "input_text", "text": "é你😀"}]},
    },
    {
        "type": "conversation.item.create",
        "item": {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_audio", "audio": PCM, "transcript": "x"}],
        },
    },
    {
        "type": "conversation.item.create",
        "item": {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_audio", "audio": PCM, "transcript": None}],
        },
    },
    {
        "type": "conversation.item.create",
        "item": {"type": "function_call", "id": "i", "call_id": "c", "name": "f", "arguments": "{}"},
    },
    {
        "type": "conversation.item.create",
        "item": {"type": "function_call_output", "call_id": "c", "output": "42"},
    },
    {"type": "conversation.item.retrieve", "item_id": "x"},
    {"type": "conversation.item.delete", "item_id": "x"},
    {"type": "conversation.item.truncate", "item_id": "x", "content_index": 0, "audio_end_ms": 229},
    {"type": "response.create"},
    {"type": "response.create", "response": {"instructions": "Sun.", "metadata": {"a": "b"}, "conversation": "auto"}},
    {
        "type": "response.create",
        "response": {
            "conversation": "none",
            "input": [
                {"type": "item_reference", "id": "i"},
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi."}]},
            ],
            "audio": {"output": {"format": {"type": "audio/pcmu"}, "speed": 1.5}},
            "output_modalities": ["text"],
            "max_output_tokens": 100,
            "tool_choice": {"type": "function", "name": "f"},
            "voiced": {"text_stream": "left", "max_lead_s": 0.5},
        },
    },
    {
        "type": "session.update",
        "session": {
            "max_output_tokens": "inf",
            "tool_choice": "required",
            "audio": {
                "input": {
                    "format": {"type": "audio/pcma"},
                    "turn_detection": {"type": "server_vad", "threshold": 0.5, "idle_timeout_ms": None},
                    "noise_reduction": {"type": "near_field"},
                },
                "output": {"format": {"type": "audio/raw", "encoding": "pcm_f32le", "rate": 44100}},
            },
        },
    },
    {"type": "session.update", "session": {"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}},
    {"type": "response.cancel"},
    {"type": "response.cancel", "response_id": "r", "event_id": "e2"},
    {"type": "input_audio_buffer.append", "audio": PCM},
    {"type": "input_audio_buffer.commit"},
    {"type": "input_audio_buffer.clear"},
    {"type": "output_audio_buffer.clear", "event_id": "e3"},
    {"type": "input_text.append", "text": "Hello "},
    {"type": "input_text.append", "text": "", "stream": "left"},
    {"type": "input_text.flush", "stream": "left"},
    {"type": "input_text.end"},
]

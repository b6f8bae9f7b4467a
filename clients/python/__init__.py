"""The Python client: say text, iterate audio, interrupt.

async with connect("ws://127.0.0.1:8080/v1/realtime") as call:
    speech = await call.say("Hello there.")
    async for pcm in speech:
        play(pcm)
"""

from clients.python.call import Call, CallError, Speech, connect

__all__ = ["Call", "CallError", "Speech", "connect"]

"""Talks to voiced from Python: say text, iterate audio, interrupt.

async with connect("ws://127.0.0.1:8080/v1/realtime") as conversation:
    speech = await conversation.say("Hello there.")
    async for pcm in speech:
        play(pcm)
"""

from clients.python.conversation import Conversation, Speech, VoicedError, connect
from clients.python.turn import Turn

__all__ = ["Conversation", "VoicedError", "Speech", "Turn", "connect"]

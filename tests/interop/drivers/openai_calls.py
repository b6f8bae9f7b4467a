"""openai-python makes a WebRTC call of an offer, alone or with a session, and hangs up a call.

openai_calls.py raw OFFER · openai_calls.py form OFFER · openai_calls.py hangup CALL
"""

import sys
from pathlib import Path

from facts import tell
from openai_speech import client


def main(action: str, subject: str) -> None:
    calls = client().realtime.calls
    if action == "hangup":
        calls.hangup(subject)
        tell(over=subject)
        return
    session = {"type": "realtime", "audio": {"output": {"voice": "otto"}}}
    more = {"session": session} if action == "form" else {}
    made = calls.create(sdp=Path(subject).read_bytes().decode(), **more)
    tell(answer=made.text, location=made.response.headers["location"], kind=made.response.headers["content-type"])


main(*sys.argv[1:])

"""openai-python mints a client secret for a session of its own settings, and cannot mint another one with it."""

import time

from facts import tell
from openai import APIStatusError
from openai_speech import client


def main() -> None:
    openai = client()
    minted = openai.realtime.client_secrets.create(
        expires_after={"anchor": "created_at", "seconds": 60},
        session={"type": "realtime", "audio": {"output": {"voice": "otto"}}},
    )
    try:
        client(key=minted.value).realtime.client_secrets.create()
        refused = 0
    except APIStatusError as error:
        refused = error.status_code
    tell(
        value=minted.value,
        lasts_s=minted.expires_at - time.time(),
        kind=minted.session.type,
        voice=minted.session.audio.output.voice,
        refused=refused,
    )


main()

"""Pipecat's OpenAITTSService and CartesiaTTSService: whole texts, and one interrupted in the middle."""

import asyncio
import sys

from facts import heard, tell
from pipecat_tts import cartesia, openai, say

STOP_AFTER_S = 0.8


async def main(first: str, long: str, last: str) -> None:
    over_http, http_errors = await say(openai(), first)
    over_socket, socket_errors = await say(cartesia(), last)
    cut, cut_errors = await say(cartesia(), long, STOP_AFTER_S)
    tell(
        openai=heard(over_http.pcm, words=over_http.words),
        cartesia=heard(over_socket.pcm, words=over_socket.words),
        cut=heard(cut.pcm, words=cut.words),
        errors=http_errors + socket_errors + cut_errors,
    )


asyncio.run(main(*sys.argv[1:]))

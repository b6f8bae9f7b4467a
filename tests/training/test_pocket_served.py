"""Scope: the checkpoint that ships, through a real server and the public client: what its listeners hear is what it
says offline."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio

from clients.python import connect
from protocol.objects import Generation
from realtime.checkpoints import POCKET
from realtime.commands.serve import running
from realtime.config import Config
from training.measure import Recogniser, errors, words_of
from training.sentences import EVERYDAY
from training.speak import Speaker

pytestmark = pytest.mark.asyncio(loop_scope="module")

LISTENERS = 8
TEXTS = EVERYDAY.splitlines()[20:36]
SEED = 100_003  # what `Speaker` makes of its seed 1 for the first text


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url() -> AsyncIterator[str]:
    """A server with the built-in checkpoint, as it starts by default but for a free port."""
    async with running(Config(port=0, device="cpu", threads=1, slots=LISTENERS)) as (_, gateway, address):
        await asyncio.wait_for(gateway.engine.wait_ready(), 60)
        yield address


@pytest.fixture(scope="module")
def offline() -> Speaker:
    """The same checkpoint in this process, each utterance decoded with all the context it has."""
    return Speaker(POCKET, decoder="exact", slots=LISTENERS)


async def heard(url: str, texts: list[str], seed: int) -> list[np.ndarray]:
    """What one listener is sent for each of `texts`, spoken by `sam`."""
    waves = []
    for at, text in enumerate(texts):
        async with connect(url) as conversation:
            speech = await conversation.say(text, voice="sam", generation=Generation(seed=seed + at, paced=False))
            pcm = await asyncio.wait_for(speech.read(), 60)
            waves.append(np.frombuffer(pcm, "<i2").astype(np.float32) / 32768)
    return waves


async def test_a_sentence_of_a_fixed_seed_is_the_exact_offline_decode_sample_for_sample(
    url: str, offline: Speaker
) -> None:
    (served,) = await heard(url, TEXTS[:1], SEED)
    expected = offline.say(TEXTS[:1], "sam", seed=1)[0].samples
    assert len(served) == len(expected) > 24_000
    assert np.abs(served - expected).max() <= 1 / 32768  # one step of 16 bits: sums are taken in another order


async def test_eight_listeners_at_once_understand_as_much_as_offline(url: str, offline: Speaker) -> None:
    shares = [range(listener, len(TEXTS), LISTENERS) for listener in range(LISTENERS)]
    served = await asyncio.gather(*(heard(url, [TEXTS[at] for at in share], 7) for share in shares))
    waves = [served[at % LISTENERS][at // LISTENERS] for at in range(len(TEXTS))]
    through_the_server = wrong_words(waves)
    whole = wrong_words([spoken.samples for spoken in offline.say(TEXTS, "sam", seed=2)])
    words = sum(len(words_of(text)) for text in TEXTS)
    assert through_the_server / words < 0.28, "0.209 when the bar was set"
    assert abs(through_the_server - whole) / words < 0.12  # other seeds, so other slips


def wrong_words(waves: list[np.ndarray]) -> int:
    recogniser = Recogniser()
    return sum(errors(words_of(text), recogniser.words(wave)) for text, wave in zip(TEXTS, waves, strict=True))

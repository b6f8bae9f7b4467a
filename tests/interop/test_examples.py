"""Scope: the examples of `clients/examples`, run as they are: each writes what the engine made and has its page."""

import shutil
import wave
from pathlib import Path

import pytest

from tests.interop.environment import EXAMPLES, ROOT
from tests.interop.suite import LAST, LONG, Suite

RUNS = {
    "openai_realtime.py": [["-o"]],
    "openai_realtime.mjs": [[]],
    "agents_realtime.mjs": [[]],
    "pipecat_realtime.py": [["-o"]],
    "livekit_realtime.py": [["-o"]],
    "openai_speech.py": [["-o"], ["--sse", "-o"]],
    "pipecat_tts.py": [["--service", "openai", "-o"], ["--service", "cartesia", "-o"]],
    "livekit_tts.py": [["--plugin", "openai", "-o"], ["--plugin", "cartesia", "-o"]],
    "curl_speech.sh": [[]],
}
"""Each example's options before the name of the file it writes, for each of its ways."""

LOSSY = {("livekit_tts.py", "openai")}
"""Goes through MP3, which pads and rounds."""

MARKED = {("livekit_tts.py", "cartesia")}
"""LiveKit may mark the end with 10 ms of silence of its own."""


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(
    ("name", "options"),
    [pytest.param(name, options, id=" ".join([name, *options])) for name, ways in RUNS.items() for options in ways],
)
async def test_an_example_writes_what_was_made(resting: Suite, name: str, options: list[str]) -> None:
    assert name != "curl_speech.sh" or shutil.which("curl"), "curl is missing; `make test` installs it"
    output = resting.folder / f"{name}{len(options)}.wav"
    run = await resting.program(name, LAST, *options, str(output))
    with wave.open(str(output)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24000, 1, 2)
        pcm = file.readframes(1 << 30)
    made = run.made(LAST)
    assert made.complete
    if (name, *options[1:2]) in LOSSY:
        assert 0 <= len(pcm) // 2 - made.samples <= 0.1 * 24000
    else:
        assert pcm == made.pcm or ((name, *options[1:2]) in MARKED and pcm == made.pcm + bytes(480))


@pytest.mark.asyncio(loop_scope="session")
async def test_livekits_example_prints_the_words_that_were_heard_and_no_warning(resting: Suite) -> None:
    output = str(resting.folder / "livekit_cut.wav")
    run = await resting.program("livekit_realtime.py", LONG, "-o", output, "--stop-after", "0.8")
    printed = run.output.rstrip("\n")
    assert LONG.startswith(printed)
    assert len(printed) < len(LONG)
    kept = [event["item"] for event in run.recorder.server_events() if event["type"] == "conversation.item.retrieved"]
    assert printed == kept[-1]["content"][0]["transcript"]
    assert run.complaints == ""


def test_every_example_is_run_and_explained() -> None:
    parts = {"wav.mjs"}
    programs = {path.name for kind in ("*.py", "*.mjs", "*.sh") for path in EXAMPLES.glob(kind)} - parts
    assert programs == set(RUNS)
    pages = "".join(page.read_text() for page in Path(ROOT, "clients", "guides").glob("*.md"))
    assert [name for name in programs if f"clients/examples/{name}" not in pages] == []

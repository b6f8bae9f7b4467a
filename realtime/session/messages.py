"""Defines what goes into a session and what comes out of it: inputs it is told, effects it asks for.

Plain data. Client events and server events are the protocol's; everything else is here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from protocol.client_events import ClientEvent
from protocol.encodings import BadMessage
from protocol.objects import AudioFormat
from protocol.server_events import AudioDelta, ServerEvent
from realtime.agent.brain import Dialogue
from realtime.request import Ended, Speak, Used

# --- inputs ---

SCORE_SAMPLES = 768
"""How many samples one score of speech is for: 32 ms at 24 kHz."""


@dataclass(frozen=True)
class BrainSaid:
    """Brings more text of a response."""

    response_id: str
    text: str


@dataclass(frozen=True)
class BrainCalled:
    """Says that the brain wants a function of the client called. `arguments` is a JSON text."""

    response_id: str
    name: str
    arguments: str
    call_id: str = ""  # empty: the brain gave none


@dataclass(frozen=True)
class BrainDone:
    """Says that the text of a response is complete."""

    response_id: str


@dataclass(frozen=True)
class BrainFailed:
    """Says that there will be no more text of a response, or none at all.

    `code` says whether there is nothing to say, or the brain failed, which is our fault. `message` is for the client.
    `spoken` is said to the user before the response fails.
    """

    response_id: str
    message: str
    code: str = "nothing_to_say"
    spoken: str = ""


@dataclass(frozen=True)
class ClauseAudio:
    """Brings 24 kHz PCM of a clause, and what the clause has taken so far."""

    clause_id: str
    pcm: bytes
    used: Used = field(default_factory=Used)


@dataclass(frozen=True)
class AudioSent:
    """Says that `samples` more of a response were sent, or, where the server plays, were handed to the player."""

    response_id: str
    samples: int


@dataclass(frozen=True)
class AudioPlayed:
    """Says that `samples` more of a response went out in real time, where the server plays."""

    response_id: str
    samples: int


@dataclass(frozen=True)
class UserAudio:
    """Brings more of what the user says: 24 kHz PCM, and scores of speech in it.

    `scores` says how likely speech is (0 to 1) in each window of `SCORE_SAMPLES` that became whole with `pcm`. Without
    a detector there are none.
    """

    pcm: bytes
    scores: tuple[float, ...] = ()
    event_id: str | None = None  # id of the client's event that brought it


@dataclass(frozen=True)
class Transcribed:
    """Brings what was said in the audio of a job. The audio lasts `seconds`."""

    job_id: str
    text: str
    seconds: float = 0.0


@dataclass(frozen=True)
class NotTranscribed:
    """Says that there are no words for a job.

    `code` says whether none were heard in it, or no recogniser could look for them. `message` is for the client.
    """

    job_id: str
    code: Literal["nothing_heard", "no_recogniser", "recogniser_unavailable"]
    message: str


@dataclass(frozen=True)
class Stalled:
    """Says whether the client has stopped taking what was sent to it."""

    stalled: bool


@dataclass(frozen=True)
class ListeningChanged:
    """Names what tells speech from silence in the user's audio from now on. Empty says that nothing does."""

    hears: str


@dataclass(frozen=True)
class Tick:
    """Says that time has passed."""


@dataclass(frozen=True)
class Drain:
    """Says that the server is about to stop: what is being said is finished, and nothing more is begun."""


@dataclass(frozen=True)
class Stop:
    """Says that the server stops now, and waits no longer for what is being said."""


@dataclass(frozen=True)
class Disconnected:
    """Says that the transport is gone."""


Input = (
    ClientEvent
    | BadMessage
    | BrainSaid
    | BrainCalled
    | BrainDone
    | BrainFailed
    | ClauseAudio
    | Ended
    | AudioSent
    | AudioPlayed
    | UserAudio
    | Transcribed
    | NotTranscribed
    | Stalled
    | ListeningChanged
    | Tick
    | Drain
    | Stop
    | Disconnected
)

# --- effects ---


@dataclass(frozen=True)
class Send:
    """Asks for an event to be put on the wire, after those before it."""

    event: ServerEvent


@dataclass(frozen=True)
class SendAudio:
    """Asks for speech to be put on the wire, after what came before, and to be reported with `AudioSent`.

    `event` holds 24 kHz PCM, which is `samples` long. It goes out in `format`.
    """

    event: AudioDelta
    samples: int
    format: AudioFormat


@dataclass(frozen=True)
class FinishAudio:
    """Says that no more speech of a response follows.

    What the response's format still holds back may go out then, as an event with the id `event_id`.
    """

    response_id: str
    event_id: str


@dataclass(frozen=True)
class DropAudio:
    """Asks for the speech of a response that is not on the wire yet to be dropped, at once."""

    response_id: str


@dataclass(frozen=True)
class AskBrain:
    """Asks the brain for the words of a response, which answer `dialogue`."""

    response_id: str
    dialogue: Dialogue


@dataclass(frozen=True)
class StopBrain:
    """Says that no more words of a response are wanted."""

    response_id: str


@dataclass(frozen=True)
class Transcribe:
    """Asks for the words in 24 kHz PCM. The answer is `Transcribed` or `NotTranscribed`.

    Jobs that are `final` go before those that are `early`, whose turn may not be over, and these before those that are
    `partial`. `language` and `prompt` are the client's hints; empty says that there is none.
    """

    job_id: str
    pcm: bytes
    kind: Literal["final", "early", "partial"]
    language: str = ""
    prompt: str = ""


@dataclass(frozen=True)
class DropTranscription:
    """Says that the words of a job are not wanted any more."""

    job_id: str


@dataclass(frozen=True)
class CancelClause:
    """Asks the engine to stop speaking a clause."""

    clause_id: str


@dataclass(frozen=True)
class HoldClause:
    """Asks the engine to stop speaking a clause until its listener takes more, or with `held` false to go on."""

    clause_id: str
    held: bool


@dataclass(frozen=True)
class DropContext:
    """Says that the engine may forget what was spoken in a context."""

    context_id: str


@dataclass(frozen=True)
class Close:
    """Asks for the connection to be closed, after everything sent before."""

    code: int
    reason: str


@dataclass(frozen=True)
class HangUp:
    """Asks for the connection to be ended at once: its client takes nothing, not even a farewell."""


Effect = (
    Send
    | SendAudio
    | FinishAudio
    | DropAudio
    | AskBrain
    | StopBrain
    | Transcribe
    | DropTranscription
    | Speak
    | CancelClause
    | HoldClause
    | DropContext
    | Close
    | HangUp
)

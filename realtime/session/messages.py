"""What goes into a session and what comes out of it: inputs it is told, effects it asks for.

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
"""A score of speech is of 32 ms at 24 kHz."""


@dataclass(frozen=True)
class BrainSaid:
    """More text of a response."""

    response_id: str
    text: str


@dataclass(frozen=True)
class BrainCalled:
    """The brain wants a function called."""

    response_id: str
    name: str
    arguments: str
    call_id: str = ""  # empty: the brain gave none


@dataclass(frozen=True)
class BrainDone:
    """The response's text is complete."""

    response_id: str


@dataclass(frozen=True)
class BrainFailed:
    """There will be no (more) text: there is nothing to say, or it is our fault; `message` is for the client."""

    response_id: str
    message: str
    code: Literal["nothing_to_say", "brain_failed"] = "nothing_to_say"


@dataclass(frozen=True)
class ClauseAudio:
    """PCM of a clause, and what the clause has taken so far."""

    clause_id: str
    pcm: bytes
    used: Used = field(default_factory=Used)


@dataclass(frozen=True)
class AudioSent:
    """The transport has sent this many samples of a response; where the server plays, handed them to the playout."""

    response_id: str
    samples: int


@dataclass(frozen=True)
class AudioPlayed:
    """Where the server plays: this many more samples of a response went out, in real time."""

    response_id: str
    samples: int


@dataclass(frozen=True)
class UserAudio:
    """More of what the user says: 24 kHz PCM, and how likely speech is (0 to 1) in each window of `SCORE_SAMPLES` that
    became whole with it. Without a detector there are no scores."""

    pcm: bytes
    scores: tuple[float, ...] = ()
    event_id: str | None = None  # of the client's event it came with


@dataclass(frozen=True)
class Transcribed:
    """What was said in the audio of a job, which lasts so many seconds."""

    job_id: str
    text: str
    seconds: float = 0.0


@dataclass(frozen=True)
class NotTranscribed:
    """There are no words for a job: nothing was heard in it, or nothing could be; `message` is for the client."""

    job_id: str
    code: Literal["nothing_heard", "no_recogniser", "recogniser_unavailable"]
    message: str


@dataclass(frozen=True)
class Stalled:
    """Whether the client has stopped taking what was sent to it."""

    stalled: bool


@dataclass(frozen=True)
class ListeningChanged:
    """What tells speech from silence in the user's audio from now on; empty: nothing does."""

    hears: str


@dataclass(frozen=True)
class Tick:
    """Time passed."""


@dataclass(frozen=True)
class Drain:
    """The server is about to stop."""


@dataclass(frozen=True)
class Stop:
    """The server stops, and waits no longer."""


@dataclass(frozen=True)
class Disconnected:
    """The transport is gone."""


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
    """Put an event on the wire, after those before it."""

    event: ServerEvent


@dataclass(frozen=True)
class SendAudio:
    """Put speech on the wire, after what came before, and report it with AudioSent. The event holds 24 kHz PCM; it
    goes out in `format`."""

    event: AudioDelta
    samples: int
    format: AudioFormat


@dataclass(frozen=True)
class FinishAudio:
    """No more speech of this response follows: what its format still holds back may go out, as an event of this id."""

    response_id: str
    event_id: str


@dataclass(frozen=True)
class DropAudio:
    """Forget speech of this response that is not on the wire yet, at once."""

    response_id: str


@dataclass(frozen=True)
class AskBrain:
    """Get the words of a response."""

    response_id: str
    dialogue: Dialogue


@dataclass(frozen=True)
class StopBrain:
    """No more words are wanted."""

    response_id: str


@dataclass(frozen=True)
class Transcribe:
    """Find the words in 24 kHz PCM, and answer with Transcribed or NotTranscribed. A `final` job goes before an `early`
    one (the turn may not be over), that before a `partial` one."""

    job_id: str
    pcm: bytes
    kind: Literal["final", "early", "partial"]
    language: str = ""
    prompt: str = ""


@dataclass(frozen=True)
class DropTranscription:
    """The words of this job are not wanted any more."""

    job_id: str


@dataclass(frozen=True)
class CancelClause:
    """Stop speaking a clause."""

    clause_id: str


@dataclass(frozen=True)
class HoldClause:
    """Stop speaking a clause until its listener takes more, or with `held` false go on."""

    clause_id: str
    held: bool


@dataclass(frozen=True)
class DropContext:
    """The engine may forget what was spoken in this context."""

    context_id: str


@dataclass(frozen=True)
class Close:
    """End the connection, after everything sent before."""

    code: int
    reason: str


@dataclass(frozen=True)
class HangUp:
    """End the connection at once: its client takes nothing, not even a farewell."""


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

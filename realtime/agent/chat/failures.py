"""What can go wrong with a chat endpoint: a code, and a sentence that names the setting to look at.

Neither says where the endpoint is, which key it was given or what it answered: clients read them.
"""

from __future__ import annotations

from realtime.agent.brain import BrainFailure


def unreachable(why: str) -> BrainFailure:
    """No connection, or one that broke before an answer came."""
    return BrainFailure("brain_unreachable", f"The language model cannot be reached ({why}); check brain_url.")


def no_text(seconds: float) -> BrainFailure:
    """The first text did not come in time."""
    fix = "raise brain_timeout_s or choose a faster brain_model"
    return BrainFailure("brain_timeout", f"The language model gave no text within {seconds:g} s; {fix}.")


def stalled(seconds: float) -> BrainFailure:
    """The text stopped in the middle."""
    stopped = f"The language model stopped in the middle of its answer for {seconds:g} s"
    return BrainFailure("brain_timeout", f"{stopped}; see what the server at brain_url does.")


def cut_off() -> BrainFailure:
    """The stream ended before the answer did."""
    return BrainFailure(
        "brain_failed", "The language model's answer broke off; see what the server at brain_url does, and try again."
    )


def unreadable(what: str) -> BrainFailure:
    """What came is no answer."""
    return BrainFailure("brain_failed", f"The language model sent {what}; check that brain_url is a chat endpoint.")


def empty() -> BrainFailure:
    """The answer has neither words nor calls."""
    return BrainFailure("brain_failed", "The language model gave an empty answer; check brain_model, or try again.")


def too_long() -> BrainFailure:
    """The answer does not end."""
    bounded = "The language model's answer has no end and was cut; check brain_model and its instructions."
    return BrainFailure("brain_output_too_long", bounded)


def turned_down(status: int) -> BrainFailure:
    """The endpoint answered with the status of an error."""
    code = "brain_refused"
    match status:
        case 401 | 403:
            sentence = "The language model's server refused the key; check brain_key"
        case 404 | 405:
            sentence = "The language model's server knows no such address or model; check brain_url and brain_model"
        case 402 | 429:
            code = "brain_overloaded"
            sentence = "The language model's server takes no more requests of this brain_key now; try again shortly"
        case 413:
            sentence = "The conversation is too long for the language model; lower brain_context_chars"
        case _ if 300 <= status < 400:
            sentence = "The language model's server is elsewhere; set brain_url to where it moved"
        case _ if status < 500:
            sentence = "The language model's server took no such request; check brain_model and brain_context_chars"
        case 503 | 529:
            code = "brain_overloaded"
            sentence = "The language model's server is overloaded or still loading; try again shortly"
        case _:
            code = "brain_failed"
            sentence = "The language model's server failed; see its log, at brain_url, and try again"
    return BrainFailure(code, f"{sentence} (HTTP {status}).")

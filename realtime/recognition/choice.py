"""Which recogniser a setting asks for."""

from __future__ import annotations

from realtime.recognition.endpoint import EndpointRecogniser
from realtime.recognition.process import WhisperProcess
from realtime.recognition.recogniser import NoRecogniser, Recogniser

NONE = "none"


def recogniser_of(setting: str, model: str = "", key: str = "") -> Recogniser:
    """Make the recogniser that a setting asks for: "auto" for Whisper from an installed package, "none", a folder or
    a hub id of Whisper's weights, or the URL of a transcription endpoint, which is asked for `model` with `key`. What
    cannot be used is said by its `why`, once it is tried. ValueError for a URL that is none."""
    if setting in (NONE, ""):
        return NoRecogniser("This server understands no speech: its setting recogniser is none.")
    if setting.startswith(("http://", "https://")):
        return EndpointRecogniser(setting, model, key)
    return WhisperProcess(setting, model)

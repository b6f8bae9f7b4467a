"""Converts audio between session and wire: clauses to the listener's speed, formats in both directions."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import structs

from codec_stream.formats import SAMPLE_BYTES, Encoding, SpeechDecoder, SpeechEncoder
from codec_stream.rate import SAMPLE_RATE
from codec_stream.stretch import Stretcher
from protocol.objects import AudioFormat, PcmaFormat, PcmFormat, PcmuFormat
from protocol.server_events import AudioDelta
from realtime.session.messages import FinishAudio, SendAudio


class ClauseSpeech:
    """Makes the audio of one clause `speed` times as fast as the engine spoke it."""

    def __init__(self, speed: float) -> None:
        self._stretcher = None if speed == 1.0 else Stretcher(speed, SAMPLE_RATE)

    def push(self, pcm: bytes) -> bytes:
        """Take PCM of the engine; return PCM for the listener, maybe nothing yet."""
        return pcm if self._stretcher is None else self._stretcher.push(pcm)

    def flush(self) -> bytes:
        """Return what is still held back when the clause is over."""
        return b"" if self._stretcher is None else self._stretcher.flush()


class SpeechFormats:
    """Turns the PCM of each response into its wire format. What a resampler holds back follows at the end."""

    def __init__(self) -> None:
        self._encoders: dict[str, tuple[SpeechEncoder, AudioDelta]] = {}

    def encode(self, message: SendAudio) -> AudioDelta | None:
        """Return the event to send, in the message's format, or None while the format's filter still fills."""
        if isinstance(message.format, PcmFormat):
            return message.event
        response_id = message.event.response_id
        known = self._encoders.get(response_id)
        encoder = known[0] if known is not None else SpeechEncoder(*wire_encoding(message.format))
        self._encoders[response_id] = encoder, message.event
        return _with(message.event, encoder.push(message.event.delta))

    def finish(self, message: FinishAudio) -> AudioDelta | None:
        """Return the last event of a response's speech, if its format held something back."""
        known = self._encoders.pop(message.response_id, None)
        if known is None:
            return None
        return _with(structs.replace(known[1], event_id=message.event_id), known[0].flush())

    def drop(self, response_id: str) -> None:
        """Drop what the format's filter holds of a response that was cut."""
        self._encoders.pop(response_id, None)


class SpeechIn:
    """Turns what the user says from the session's input format into 24 kHz PCM."""

    def __init__(self) -> None:
        self._format: AudioFormat = PcmFormat()
        self._decoder: SpeechDecoder | None = None

    def decode(self, audio: bytes, format: AudioFormat) -> bytes:
        """Return the PCM of `audio`. A change of `format` begins a new stream. Raises ValueError for invalid audio."""
        if format != self._format:
            self._format = format
            self._decoder = None if isinstance(format, PcmFormat) else SpeechDecoder(*wire_encoding(format))
        return audio if self._decoder is None else self._decoder.push(audio)

    def flush(self) -> bytes:
        """Return the PCM that the format's filter still holds when the user is done; the next audio begins a new
        stream.
        """
        decoder, self._decoder, self._format = self._decoder, None, PcmFormat()
        return b"" if decoder is None else decoder.flush()


def pieces_of(audio: bytes, format: AudioFormat) -> Iterator[bytes]:
    """Split audio into pieces of one second. The last piece may end with a part of a sample."""
    encoding, rate = wire_encoding(format)
    second = SAMPLE_BYTES[encoding] * rate
    return (audio[at : at + second] for at in range(0, len(audio), second))


def wire_encoding(format: AudioFormat) -> tuple[Encoding, int]:
    """Return the sample encoding of a format, and its rate in Hz."""
    match format:
        case PcmFormat():
            return "pcm_s16le", format.rate
        case PcmuFormat():
            return "pcm_mulaw", 8000
        case PcmaFormat():
            return "pcm_alaw", 8000
    return format.encoding, format.rate


def _with(event: AudioDelta, delta: bytes) -> AudioDelta | None:
    return structs.replace(event, delta=delta) if delta else None

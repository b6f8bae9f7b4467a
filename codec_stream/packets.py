"""Defines the audio of RTP: one packet as it comes from the wire, and the codecs it may hold, by their names in SDP."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from codec_stream.g722 import G722Decoder, G722Encoder
from codec_stream.opus import OpusDecoder, OpusEncoder
from codec_stream.opus_toc import packet_ticks
from codec_stream.telephone import G711Decoder, G711Encoder

# RFC 7587 and RFC 3551: Opus counts at 48 kHz whatever it holds, and G.722, by an old mistake, at 8 kHz.
RTP_CLOCKS = {"opus": 48000, "PCMU": 8000, "PCMA": 8000, "G722": 8000}


@dataclass(frozen=True, slots=True)
class AudioPacket:
    """Holds one RTP packet of audio."""

    payload_type: int
    sequence: int  # 16 bits
    timestamp: int  # 32 bits, in ticks of the encoding's clock
    payload: bytes
    ssrc: int


class PacketEncoder(Protocol):
    """Encodes one stream of 24 kHz mono PCM16 into payloads of 20 ms."""

    @property
    def clock_ticks(self) -> int:
        """Return how far a packet moves the RTP timestamp."""

    def encode(self, pcm16: bytes) -> bytes:
        """Encode 480 samples of PCM16 into a payload. Raises ValueError for any other length."""

    def protect(self, on: bool) -> None:
        """Choose whether packets are to make up for lost ones before them, where the encoding can."""

    def rest(self) -> bytes:
        """Return the payload of silence that may be sent again and again, once some silence was encoded."""


class PacketDecoder(Protocol):
    """Decodes one stream of payloads, in order and without gaps, to 24 kHz mono PCM16.

    `samples` are multiples of 60.
    """

    def decode(self, payload: bytes) -> bytes:
        """Decode a payload to its audio. Raises ValueError for one that cannot be decoded, which changes nothing."""

    def repeats_previous(self, payload: bytes) -> bool:
        """Tell whether `recover` finds audio from before `payload` in it."""

    def recover(self, next_payload: bytes, samples: int) -> bytes:
        """Return the `samples` before `next_payload`, from what it repeats; the rest, or all, is concealed."""

    def conceal(self, samples: int) -> bytes:
        """Make up what may have been said in the next `samples`."""


def packet_encoder(encoding: str) -> PacketEncoder:
    """Make an encoder for an encoding of `RTP_CLOCKS`. Raises ValueError for any other."""
    return _of(_ENCODERS, encoding)()


def packet_decoder(encoding: str) -> PacketDecoder:
    """Make a decoder for an encoding of `RTP_CLOCKS`. Raises ValueError for any other."""
    return _of(_DECODERS, encoding)()


def payload_ticks(encoding: str, payload: bytes) -> int:
    """Return how long a payload is, in ticks of its encoding's clock. Raises ValueError for a payload that is not valid
    Opus.
    """
    return packet_ticks(payload) if encoding == "opus" else len(payload)


_ENCODERS: dict[str, Callable[[], PacketEncoder]] = {
    "opus": OpusEncoder,
    "PCMU": lambda: G711Encoder("PCMU"),
    "PCMA": lambda: G711Encoder("PCMA"),
    "G722": G722Encoder,
}
_DECODERS: dict[str, Callable[[], PacketDecoder]] = {
    "opus": OpusDecoder,
    "PCMU": lambda: G711Decoder("PCMU"),
    "PCMA": lambda: G711Decoder("PCMA"),
    "G722": G722Decoder,
}


_Codec = TypeVar("_Codec")


def _of(table: dict[str, Callable[[], _Codec]], encoding: str) -> Callable[[], _Codec]:
    if encoding not in table:
        raise ValueError(f"encoding is {encoding!r}; use one of {', '.join(RTP_CLOCKS)}")
    return table[encoding]

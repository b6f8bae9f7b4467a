"""Codes Opus (RFC 6716) at 24 kHz mono, by libopus through ctypes: packets of 20 ms out, packets of any length in.

Why not PyAV's codec contexts: they know neither concealment nor the forward error correction inside the packets, and an
empty packet ends their stream. libopus resamples inside, so that 24 kHz goes in and out whatever the packet holds.
"""

import ctypes
import importlib.util
import weakref
from ctypes.util import find_library
from functools import lru_cache
from pathlib import Path

from codec_stream.opus_toc import frame_ticks, packet_ticks, repeats_previous
from codec_stream.rate import SAMPLE_RATE

PACKET_SAMPLES = 480
# PLC and FEC come in whole steps of 2.5 ms.
STEP_SAMPLES = 60
_MAX_SAMPLES = 2880  # 120 ms, the longest packet
_MAX_PACKET_BYTES = 1275
_PROTECTED_LOSS_PERCENT = 5  # the loss that libopus is told to expect: enough to make it put copies into packets

# Requests of opus_defines.h.
_APPLICATION_AUDIO = 2049  # VOIP would cut the lowest tones of deep voices, and is no better at the rest
_SET_BITRATE, _SET_VBR, _SET_COMPLEXITY, _SET_INBAND_FEC, _SET_PACKET_LOSS_PERC = 4002, 4006, 4010, 4012, 4014
_SET_SIGNAL, _SIGNAL_VOICE, _SIGNAL_MUSIC, _RESET_STATE = 4024, 3001, 3002, 4028


class OpusEncoder:
    """Encodes one stream of 24 kHz mono speech into Opus packets of 20 ms, protected against loss until told otherwise.

    `bitrate` is in bit/s, on average. `complexity` (0 to 10) is the time that libopus may spend. At low complexity the
    copies that protect against loss are made only from 40 kbit/s on; speech is then closer to the original than at 32
    kbit/s with twice the time. Raises ValueError for either out of range.
    """

    clock_ticks = 960

    def __init__(self, bitrate: int = 48000, complexity: int = 1) -> None:
        if not 6000 <= bitrate <= 510000:
            raise ValueError(f"bitrate is {bitrate} bit/s, expected 6000 to 510000")
        if not 0 <= complexity <= 10:
            raise ValueError(f"complexity is {complexity}, expected 0 to 10")
        self._opus = _libopus()
        error = ctypes.c_int()
        self._state = self._opus.opus_encoder_create(SAMPLE_RATE, 1, _APPLICATION_AUDIO, ctypes.byref(error))
        _check(error.value)
        weakref.finalize(self, self._opus.opus_encoder_destroy, self._state)
        self._packet = ctypes.create_string_buffer(_MAX_PACKET_BYTES)
        for request, value in (
            (_SET_BITRATE, bitrate),
            (_SET_COMPLEXITY, complexity),
            (_SET_VBR, 1),
            (_SET_INBAND_FEC, 1),
        ):
            self._control(request, value)
        self.protect(True)

    def encode(self, pcm16: bytes) -> bytes:
        """Encode 480 samples of PCM16 into one packet, 1 to 1275 bytes. Raises ValueError for any other length."""
        if len(pcm16) != 2 * PACKET_SAMPLES:
            raise ValueError(f"a packet takes {PACKET_SAMPLES} samples of 2 bytes, got {len(pcm16)} bytes")
        size = self._opus.opus_encode(self._state, bytes(pcm16), PACKET_SAMPLES, self._packet, _MAX_PACKET_BYTES)
        return ctypes.string_at(self._packet, _check(size))

    def protect(self, on: bool) -> None:
        """Choose whether each packet carries a coarse copy of the one before, from the next one on.

        Only SILK, libopus's coder for voices, can carry copies, so it is used with protection. Without, CELT codes any
        sound as it is: it is nearer to what was said, and cheaper at both ends (`voiced bench webrtc`).
        """
        self._control(_SET_SIGNAL, _SIGNAL_VOICE if on else _SIGNAL_MUSIC)
        self._control(_SET_PACKET_LOSS_PERC, _PROTECTED_LOSS_PERCENT if on else 0)

    def rest(self) -> bytes:
        """Return a packet of silence, to be sent again and again until more is said; it has 3 bytes without protection.

        The encoder forgets the audio so far, and this packet as well: what is encoded next decodes after any number of
        them.
        """
        self._control(_RESET_STATE)
        payload = self.encode(bytes(2 * PACKET_SAMPLES))
        self._control(_RESET_STATE)
        return payload

    def _control(self, request: int, value: int = 0) -> None:
        _check(self._opus.opus_encoder_ctl(self._state, request, ctypes.c_int(value)))


class OpusDecoder:
    """Decodes one stream of Opus packets, mono or stereo, to PCM16 at 24 kHz mono. A refused packet leaves it as it
    was.
    """

    def __init__(self) -> None:
        self._opus = _libopus()
        error = ctypes.c_int()
        self._state = self._opus.opus_decoder_create(SAMPLE_RATE, 1, ctypes.byref(error))
        _check(error.value)
        weakref.finalize(self, self._opus.opus_decoder_destroy, self._state)
        self._pcm = ctypes.create_string_buffer(2 * _MAX_SAMPLES)

    def decode(self, payload: bytes) -> bytes:
        """Decode one packet to its 60 to 2880 samples of PCM16. Raises ValueError for an empty packet and one against
        RFC 6716.
        """
        packet_ticks(payload)
        return self._decode(payload, _MAX_SAMPLES, fec=0)

    def repeats_previous(self, payload: bytes) -> bool:
        """Tell whether `recover` finds the frame before the packet `payload` in it."""
        return repeats_previous(payload)

    def recover(self, next_payload: bytes, samples: int) -> bytes:
        """Return the last `samples` before the packet `next_payload`, which is to be decoded next.

        One frame of them comes from the packet where it repeats one; the rest is concealed. Raises ValueError as
        `decode` and `conceal` do.
        """
        packet_ticks(next_payload)
        _check_samples(samples)
        held = min(frame_ticks(next_payload) // 2, samples)
        return self.conceal(samples - held) + self._decode(next_payload, held, fec=1)

    def conceal(self, samples: int) -> bytes:
        """Make up what may have been said in the next `samples`, a multiple of 60. Raises ValueError for any other
        number.

        libopus fades it slowly, over seconds where there was a steady voice. A caller that asks for more than some
        packets should end it itself.
        """
        _check_samples(samples)
        pieces = [min(_MAX_SAMPLES, samples - start) for start in range(0, samples, _MAX_SAMPLES)]
        return b"".join(self._decode(None, piece, fec=0) for piece in pieces)

    def _decode(self, payload: bytes | None, samples: int, fec: int) -> bytes:
        if not samples:
            return b""
        size = 0 if payload is None else len(payload)
        decoded = self._opus.opus_decode(self._state, payload, size, self._pcm, samples, fec)
        if decoded < 0:
            raise ValueError(f"the payload is not a packet of Opus (RFC 6716): {_reason(decoded)}")
        return ctypes.string_at(self._pcm, 2 * decoded)


def _check_samples(samples: int) -> None:
    if samples < 0 or samples % STEP_SAMPLES:
        raise ValueError(f"missing audio comes in multiples of {STEP_SAMPLES} samples, got {samples}")


def _check(code: int) -> int:
    """Return what libopus returned. Raises RuntimeError if that is an error."""
    if code < 0:
        raise RuntimeError(f"libopus failed: {_reason(code)}")
    return code


def _reason(code: int) -> str:
    text: bytes = _libopus().opus_strerror(code)
    return text.decode()


@lru_cache(maxsize=1)
def _libopus() -> ctypes.CDLL:
    opus = ctypes.CDLL(_libopus_path())
    integer, pointer = ctypes.c_int, ctypes.c_void_p
    for name, result, arguments in (
        ("opus_strerror", ctypes.c_char_p, [integer]),
        ("opus_encoder_create", pointer, [integer, integer, integer, pointer]),
        ("opus_encoder_destroy", None, [pointer]),
        # Only the fixed arguments are declared: ctypes passes the others as variable arguments.
        ("opus_encoder_ctl", integer, [pointer, integer]),
        ("opus_encode", integer, [pointer, ctypes.c_char_p, integer, pointer, ctypes.c_int32]),
        ("opus_decoder_create", pointer, [integer, integer, pointer]),
        ("opus_decoder_destroy", None, [pointer]),
        ("opus_decode", integer, [pointer, ctypes.c_char_p, ctypes.c_int32, pointer, integer, integer]),
    ):
        function = getattr(opus, name)
        function.restype, function.argtypes = result, arguments
    return opus


def _libopus_path() -> str:
    """Find the library that PyAV's wheel brings along, or else the system's. Raises ImportError where there is
    neither.
    """
    av = importlib.util.find_spec("av")
    if av is not None and av.origin is not None:
        package = Path(av.origin).parent
        shipped = [
            *package.with_name("av.libs").glob("libopus*.so*"),
            *(package / ".dylibs").glob("libopus*.dylib"),
            *package.with_name("av.libs").glob("*opus*.dll"),
        ]
        if shipped:
            return str(shipped[0])
    system = find_library("opus")
    if system is None:
        raise ImportError(
            "libopus was not found; install PyAV from a wheel (pip install --only-binary av av), which brings it, "
            "or the system's package (libopus0 on Debian, opus in Homebrew)"
        )
    return system

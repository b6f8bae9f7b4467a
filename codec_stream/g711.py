"""Implements G.711, the telephone's 8-bit companding of PCM16, in mu-law and A-law.

The codes of every input are those of the ITU's reference software (Recommendation G.191, `ulaw_compress` and
`alaw_compress`): the magnitude of a negative sample is its one's complement. Both directions are table look-ups.
"""

import numpy as np
from numpy.typing import NDArray

_SIGN, _MANTISSA = 0x80, 0x0F
# What G.711 adds to a mu-law magnitude of 13 bits, so that each segment starts at a power of two.
_MU_BIAS, _MU_MAX = 33, 0x1FFF
# On the wire mu-law inverts every bit and A-law every second one, so that a quiet line still carries ones.
_MU_INVERTED, _A_INVERTED = 0xFF, 0x55
_PCM16 = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int64)  # in the order of the unsigned bits
_CODES = np.arange(256)


def encode_mulaw(pcm: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Encode pcm [samples] as mu-law codes [samples]; silence is 0xFF."""
    return _MULAW_CODES[pcm.view(np.uint16)]


def decode_mulaw(codes: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Decode mu-law codes [samples] to pcm [samples], at most 32124 in magnitude."""
    return _MULAW_PCM[codes]


def encode_alaw(pcm: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Encode pcm [samples] as A-law codes [samples]; silence is 0xD5."""
    return _ALAW_CODES[pcm.view(np.uint16)]


def decode_alaw(codes: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Decode A-law codes [samples] to pcm [samples], at most 32256 in magnitude. A-law has no zero: silence decodes to
    8.
    """
    return _ALAW_PCM[codes]


def _mulaw_codes() -> NDArray[np.uint8]:
    magnitude = np.minimum((_magnitudes() >> 2) + _MU_BIAS, _MU_MAX)
    segment = _bits(magnitude >> 6)
    code = (segment << 4) | ((magnitude >> (segment + 1)) & _MANTISSA)
    codes: NDArray[np.uint8] = ((code | _sign(_PCM16 < 0)) ^ _MU_INVERTED).astype(np.uint8)
    return codes


def _mulaw_pcm() -> NDArray[np.int16]:
    code = _CODES ^ _MU_INVERTED
    segment = (code >> 4) & 7
    magnitude = (((2 * (code & _MANTISSA) + _MU_BIAS) << segment) - _MU_BIAS) << 2
    return np.where(code & _SIGN, -magnitude, magnitude).astype(np.int16)


def _alaw_codes() -> NDArray[np.uint8]:
    magnitude = _magnitudes() >> 4
    # Segments 0 and 1 share a step size.
    segment = _bits(magnitude >> 4)
    code = (segment << 4) | ((magnitude >> np.maximum(segment - 1, 0)) & _MANTISSA)
    codes: NDArray[np.uint8] = ((code | _sign(_PCM16 >= 0)) ^ _A_INVERTED).astype(np.uint8)
    return codes


def _alaw_pcm() -> NDArray[np.int16]:
    code = _CODES ^ _A_INVERTED
    segment = (code >> 4) & 7
    # The middle of the step; from segment 1 on the leading one is implied.
    step = 2 * (code & _MANTISSA) + 1 + np.where(segment > 0, 32, 0)
    magnitude = (step << np.maximum(segment - 1, 0)) << 3
    pcm: NDArray[np.int16] = np.where(code & _SIGN, magnitude, -magnitude).astype(np.int16)
    return pcm


def _magnitudes() -> NDArray[np.int64]:
    return np.where(_PCM16 < 0, ~_PCM16, _PCM16)


def _bits(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many bits each number, 0 to 127, needs."""
    return np.searchsorted(2 ** np.arange(7), numbers, side="right")


def _sign(set_where: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.where(set_where, _SIGN, 0)


_MULAW_CODES, _MULAW_PCM = _mulaw_codes(), _mulaw_pcm()
_ALAW_CODES, _ALAW_PCM = _alaw_codes(), _alaw_pcm()

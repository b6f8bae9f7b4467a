"""Reads what an Opus packet says of itself before it is decoded: its length, and whether it repeats the one before."""

CLOCK_HZ = 48000
MAX_TICKS = CLOCK_HZ * 120 // 1000
_SILK_TICKS = (480, 960, 1920, 2880)
_HYBRID_TICKS = (480, 960)
_CELT_TICKS = (120, 240, 480, 960)
_FIRST_HYBRID, _FIRST_CELT = 12, 16  # configuration numbers, RFC 6716 table 2
_FRAME_COUNT, _PADDED, _VARIABLE = 0x3F, 0x40, 0x80  # the second byte of a packet with any number of frames


def frame_ticks(payload: bytes) -> int:
    """Return how long each frame of the packet is, 120 to 2880 ticks of 48 kHz. Raises ValueError for an empty
    packet.
    """
    if not payload:
        raise ValueError("an Opus packet holds at least one byte, got none")
    configuration = payload[0] >> 3
    if configuration < _FIRST_HYBRID:
        return _SILK_TICKS[configuration % 4]
    if configuration < _FIRST_CELT:
        return _HYBRID_TICKS[configuration % 2]
    return _CELT_TICKS[configuration % 4]


def packet_ticks(payload: bytes) -> int:
    """Return how long the packet is, 120 to 5760 ticks of 48 kHz (RFC 6716, 3.1 and 3.2).

    Raises ValueError for an empty packet, one without frames, and one of more than 120 ms.
    """
    ticks = frame_ticks(payload) * _frames(payload)
    if ticks > MAX_TICKS:
        raise ValueError(f"an Opus packet is at most 120 ms long, got {ticks * 1000 // CLOCK_HZ} ms")
    return ticks


def repeats_previous(payload: bytes) -> bool:
    """Tell whether the packet also carries, at a lower rate, the frame before it (in-band FEC, RFC 6716, 4.2.4).

    False as well for a packet that cannot be read.
    """
    if not payload or payload[0] >> 3 >= _FIRST_CELT:
        return False
    start = _first_frame(payload)
    if start is None or start >= len(payload):
        return False
    # The frame opens with one bit of voice activity for each 20 ms of each channel's SILK frames, and one of FEC.
    silk_frames = max(frame_ticks(payload) // 960, 1)
    stereo = payload[0] & 4
    middle = payload[start] >> (7 - silk_frames) & 1
    side = stereo and payload[start] >> (6 - 2 * silk_frames) & 1
    return bool(middle or side)


def _frames(payload: bytes) -> int:
    code = payload[0] & 3
    if code < 3:
        return 1 if code == 0 else 2
    frames = payload[1] & _FRAME_COUNT if len(payload) > 1 else 0
    if not frames:
        raise ValueError("the Opus packet says that it holds no frame")
    return frames


def _first_frame(payload: bytes) -> int | None:
    """Return where the first frame's bytes start; None when it has none or the packet is cut short."""
    code = payload[0] & 3
    if code < 2:
        return 1
    try:
        if code == 2:
            return None if payload[1] == 0 else 1 + _length_bytes(payload[1])
        at, frames = 2, payload[1] & _FRAME_COUNT
        padding = 0
        if payload[1] & _PADDED:
            while payload[at] == 255:
                at, padding = at + 1, padding + 254
            at, padding = at + 1, padding + payload[at]
        if payload[1] & _VARIABLE and frames > 1:
            first_length = payload[at]
            for _ in range(frames - 1):
                at += _length_bytes(payload[at])
            return None if first_length == 0 else at
        # Frames of one size share what is left without the padding.
        return at if len(payload) - padding - at >= max(frames, 1) else None
    except IndexError:
        return None


def _length_bytes(first: int) -> int:
    return 1 if first < 252 else 2

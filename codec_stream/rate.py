"""Defines the rate at which speech is made, kept and resampled from."""

from __future__ import annotations

SAMPLE_RATE = 24_000
"""Samples a second of all PCM in the service, which is 16-bit, mono and little endian. Other formats exist only at the
borders, for clients that ask for them."""

"""The rate at which speech is made, kept and resampled from."""

from __future__ import annotations

SAMPLE_RATE = 24_000
"""Samples a second of all PCM in the service: 16-bit, mono, little endian. Clients may ask for other formats at the
borders only."""

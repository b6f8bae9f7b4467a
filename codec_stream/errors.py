"""Defines the errors that codec_stream raises at its borders; each message is one sentence that names the cause and the
fix.
"""


class CheckpointError(ValueError):
    """Says that a checkpoint cannot be used: a file is missing, damaged, or says something this code cannot follow."""


class AudioError(ValueError):
    """Says that audio handed in by a user cannot be used as it is; the message says what to change."""

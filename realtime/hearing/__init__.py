"""Whether somebody speaks: from audio to one score for each short window of it."""

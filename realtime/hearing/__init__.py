"""Tells whether somebody speaks: audio goes in, and a score for each short window of it comes out."""

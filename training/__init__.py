"""Holds the recipe of the pocket checkpoint, from text to evaluation; see README.md here."""

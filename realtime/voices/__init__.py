"""Voices by name: those in folders, those uploaded, those of the checkpoint."""

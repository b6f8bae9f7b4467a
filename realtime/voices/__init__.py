"""Finds voices by name: those in folders, those uploaded, and those of the checkpoint."""

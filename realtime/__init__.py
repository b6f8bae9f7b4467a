"""Serves speech: everything between a client's connection and a checkpoint's weights."""

__version__ = "0.1.0"
"""Version of the server, and of the clients that are published from the same commit."""

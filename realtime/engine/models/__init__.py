"""Holds the models an engine can run, each in a room of its own."""

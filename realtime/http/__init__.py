"""Serves HTTP: connections, what passes before every route, replies."""

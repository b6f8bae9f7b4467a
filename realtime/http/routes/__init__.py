"""Serves the HTTP routes that begin no session."""

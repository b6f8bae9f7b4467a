"""Serves sessions over WebRTC: calls."""

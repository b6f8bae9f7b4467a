"""Implements one WebRTC peer, the side that answers. It knows nothing of sessions, protocols or the engine."""

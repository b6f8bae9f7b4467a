"""One WebRTC peer, the answering side. It knows nothing of sessions, protocols or the engine."""

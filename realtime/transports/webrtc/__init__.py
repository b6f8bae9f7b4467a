"""Sessions over WebRTC: calls."""

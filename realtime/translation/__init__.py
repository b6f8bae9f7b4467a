"""Translation sessions: a translator beside a session that speaks."""

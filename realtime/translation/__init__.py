"""Runs translation sessions: a translator beside a session that speaks."""

"""A brain over any OpenAI-compatible chat endpoint: its messages, its stream, its failures, what it remembers."""

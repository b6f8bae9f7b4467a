"""What was said: from audio to text, by Whisper in a process of its own or by somebody's endpoint."""

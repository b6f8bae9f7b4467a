"""One session on one wire: what carries out a session's effects, and who is let in."""

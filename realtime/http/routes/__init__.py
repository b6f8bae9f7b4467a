"""HTTP routes that begin no session."""

"""Measures what a gateway does."""

"""Holds the recipe of a voice that sounds like a person: learned from a neural synthesiser, with pitch that moves."""

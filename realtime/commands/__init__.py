"""Implements the `voiced` command and its subcommands."""

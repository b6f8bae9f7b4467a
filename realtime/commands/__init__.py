"""The `voiced` command and its subcommands."""

"""One module for each command. Each has `run(args) -> exit code`."""

"""Prefect tasks: one for each side effect of a run. May import storyreel, but not its flows."""

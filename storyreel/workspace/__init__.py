"""Folders of results, settings from the environment, and child processes; may import errors."""

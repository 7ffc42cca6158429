"""The record of paid jobs and the one gate in front of every paid request; may import errors."""

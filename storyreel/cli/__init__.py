"""The command line; the only room that may import flows, and may import everything else."""

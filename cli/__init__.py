"""The command line: reads arguments, asks, prints. May import flows, tasks and storyreel."""

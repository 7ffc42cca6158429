"""Prefect's server, worker, deployments and artifacts, for the flows beside it and for the command
line.
"""

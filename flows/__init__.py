"""Prefect flows, and the Prefect server behind them. May import tasks and storyreel, not cli."""

"""A run without Prefect: open, submit, wait, collect, finish, rescue, batch; may import every room
but cli and simulator's inside.
"""

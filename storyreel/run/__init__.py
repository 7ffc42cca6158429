"""A run without Prefect: plan it, open it, render it by its steps, finish it, rescue, batch; may
import every room but cli and simulator's inside.
"""

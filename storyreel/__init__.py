"""Storyreel: a storyboard becomes video.

This package holds what would still be true with Prefect replaced.
"""

__version__ = "0.1.0"

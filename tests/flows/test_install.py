"""Prefect's server starts with what is pinned."""

from __future__ import annotations


def test_prefects_server_imports_with_the_fastapi_that_is_pinned() -> None:
    from prefect.server.api.server import create_app

    assert callable(create_app)

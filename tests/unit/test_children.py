"""What a process of ours is started with."""

from __future__ import annotations

import os
import urllib.request

import httpx
import pytest

from storyreel.workspace import children


@pytest.mark.parametrize(
    "named", [{}, {"NO_PROXY": "a.example, localhost"}, {"no_proxy": "a.example"}, {"NO_PROXY": ""}]
)
def test_no_proxy_is_asked_for_this_machine(
    named: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")  # so that it is put back, whatever it was
        monkeypatch.delenv(name)
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    children.spare_loopback()
    children.spare_loopback()
    for host in ("127.0.0.1:4200", "localhost", "localhost:80"):
        assert urllib.request.proxy_bypass_environment(host)
    assert bool(urllib.request.proxy_bypass_environment("a.example")) == ("a.example" in str(named))
    assert not urllib.request.proxy_bypass_environment("api.example")
    assert os.environ["NO_PROXY"].count("localhost") == 1
    assert children.environment()["no_proxy"] == os.environ["NO_PROXY"]


def test_a_socks_proxy_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    httpx.Client().close()

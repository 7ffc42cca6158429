"""Stills are published where the API can fetch them, and once."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from storyreel.api.store import LoopbackStore, open_store
from storyreel.errors import UsageError
from storyreel.workspace.settings import Settings
from tests.conftest import png


def settings(store: str | None, base: str = "https://api.example/v1") -> Settings:
    return Settings(store=store, OPENAI_BASE_URL=base)  # type: ignore[call-arg]


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        data: bytes = answer.read()
        return data


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """A real S3 server on loopback, with one bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    urllib.request.urlopen(
        urllib.request.Request(f"{address}/stills", method="PUT"), timeout=10
    ).close()
    yield address
    server.stop()


def test_a_bucket_hands_the_same_picture_out_once_at_a_signed_address(
    s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    store = open_store(settings(f"s3://stills/frames?endpoint={s3}&path_style=true"))
    assert store is not None
    first, second = store.publish(png(), "png"), store.publish(png(), "png")
    assert fetch(first) == fetch(second) == png()
    assert first.partition("?")[0] == second.partition("?")[0] and "X-Amz-Expires=172800" in first
    assert "very-secret" not in first


def test_a_bucket_that_is_not_there_is_a_clear_error(
    s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    store = open_store(settings(f"s3://nowhere?endpoint={s3}&path_style=true"))
    assert store is not None
    with pytest.raises(UsageError, match="the store refuses"):
        store.publish(png(), "png")


def test_a_folder_is_written_whole_and_once(tmp_path: Path) -> None:
    store = open_store(settings(f"{tmp_path}=https://stills.example.com/"))
    assert store is not None
    url = store.publish(png(), "png")
    assert store.publish(png(), "png") == url and url.startswith("https://stills.example.com/")
    (file,) = tmp_path.iterdir()
    assert file.read_bytes() == png() and url.endswith(file.name)


def test_the_loopback_store_gives_nothing_but_what_was_published() -> None:
    with LoopbackStore() as store:
        url = store.publish(png(), "png")
        assert fetch(url) == png()
        for other in (
            url + "x",
            url.rsplit("/", 2)[0] + "/",
            url.rsplit("/", 1)[0] + "/../../etc/passwd",
        ):
            with pytest.raises(urllib.error.HTTPError):
                fetch(other)


def test_the_loopback_store_closes_within_a_bound_whatever_its_thread_does() -> None:
    store = LoopbackStore()
    hangs = threading.Event()
    store._thread = threading.Thread(target=hangs.wait, daemon=True)
    store._thread.start()
    began = time.monotonic()
    store.close()
    assert time.monotonic() - began < 10
    hangs.set()


@pytest.mark.parametrize(
    "store",
    ["/srv/stills", "s3://", "s3://b?regoin=x", "s3://b", "s3://b/x?region=r", "/srv=ftp://x"],
)
def test_a_store_that_is_not_understood_is_told(store: str) -> None:
    with pytest.raises(UsageError, match="STORYREEL_STORE"):
        open_store(settings(store))


def test_without_a_setting_there_is_one_only_for_an_api_on_this_machine() -> None:
    assert open_store(settings(None)) is None
    store = open_store(settings(None, "http://127.0.0.1:1/v1"))
    assert isinstance(store, LoopbackStore)
    store.close()


@pytest.mark.parametrize(
    "place", ["x=http://[fe80::1", "x=https://", "x=http://h:99999", "x=ftp://h/a", "x"]
)
def test_an_address_that_is_none_is_said_before_anything_is_published(place: str) -> None:
    with pytest.raises(UsageError, match="not understood"):
        open_store(settings(place))

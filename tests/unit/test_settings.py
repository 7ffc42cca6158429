"""Settings out of the environment: empty means not set, addresses have one spelling, and what
cannot be used is named.
"""

from __future__ import annotations

import pytest

from storyreel.errors import UsageError
from storyreel.workspace import settings

NAMES = [
    "OPENAI_BASE_URL", "OPENAI_API_KEY",
    *(f"STORYREEL_{name.upper()}" for name in settings.Settings.model_fields if name not in ("base_url", "api_key")),
]  # fmt: skip


@pytest.mark.parametrize("value", ["", " ", "\r\n"])
@pytest.mark.parametrize("name", NAMES)
def test_an_empty_variable_means_not_set(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    default = settings.read()
    monkeypatch.setenv(name, value)
    assert settings.read() == default


@pytest.mark.parametrize(
    "written",
    ["https://api.example/v1", "https://api.example/v1/", "https://api.example//v1//", "https://api.example/v1\r\n",
     "HTTPS://API.Example/v1", "https://api.example:443/v1", "  https://api.example/v1", "https://api.example:/v1"],
)  # fmt: skip
def test_an_address_has_one_spelling(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", written)
    assert settings.read().base_url == "https://api.example/v1"


def test_what_tells_addresses_apart_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    for address in (
        "http://127.0.0.1:8765/v1",
        "http://[::1]:8765/v1",
        "https://a.example/Team/v1",
        "http://a.example",
    ):
        monkeypatch.setenv("OPENAI_BASE_URL", address)
        assert settings.read().base_url == address


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("OPENAI_BASE_URL", "https://a.example/v1#x", "without `?` and `#`"),
        ("OPENAI_BASE_URL", "https://a.example/v1#", "without `?` and `#`"),
        ("OPENAI_BASE_URL", "https://a.example/v1?key=secret", "without `?` and `#`"),
        ("OPENAI_BASE_URL", "http://a.example:80a/v1", "port"),
        ("OPENAI_BASE_URL", "http://a.example:99999/v1", "port"),
        ("OPENAI_BASE_URL", "http://a.example:0/v1", "port"),
        ("OPENAI_BASE_URL", "http://a.example:-1/v1", "port"),
        ("OPENAI_BASE_URL", "http://a.example/v 1", "blanks"),
        ("OPENAI_BASE_URL", "http://a.example/\nv1", "blanks"),
        ("OPENAI_BASE_URL", "a.example/v1", "http(s) address, such as"),
        ("OPENAI_BASE_URL", "ftp://a.example/v1", "http(s) address, such as"),
        ("OPENAI_BASE_URL", "http://[fe80::1/v1", "http(s) address, such as"),
        ("OPENAI_BASE_URL", "http://a..example/v1", "http(s) address, such as"),
        ("OPENAI_BASE_URL", "https://me:secret@a.example/v1", "without a name or password"),
        ("OPENAI_API_KEY", "sk secret", "characters that no key has"),
        ("STORYREEL_WEBHOOK_URL", "http://a.example:99999/", "port"),
        ("STORYREEL_WEBHOOK_URL", "http://a.example/", "must be https"),
        ("STORYREEL_MAX_IN_FLIGHT", "five", "must be a whole number"),
        ("STORYREEL_MAX_IN_FLIGHT", "0", "must be at least 1"),
        ("STORYREEL_TIME_SCALE", "0", "must be above 0"),
        (
            "STORYREEL_DATABASE_URL",
            "ledger.db",
            "postgresql://USER:PASSWORD@HOST/NAME or sqlite:///",
        ),
        ("STORYREEL_DATABASE_URL", "/var/secret/ledger.db", "sqlite:///"),
        ("STORYREEL_DATABASE_URL", "postgres://me:secret@h/db", "postgresql://"),
        ("STORYREEL_DATABASE_URL", "mysql://me:secret@h/db", "postgresql://"),
        ("STORYREEL_DATABASE_URL", "postgresql://me:secret@h:80a/db", "postgresql://"),
        ("STORYREEL_DATABASE_URL", "sqlite://", "memory"),
        ("STORYREEL_DATABASE_URL", "sqlite:///:memory:", "memory"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError) as refused:
        settings.read()
    said = f"{refused.value.message} {refused.value.fix}"
    assert (
        said.startswith(name)
        and words in said
        and "secret" not in said
        and "Value error" not in said
    )
    assert "/v1" not in said.replace("https://api.qnaigc.com/v1", "")

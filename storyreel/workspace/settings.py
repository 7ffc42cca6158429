"""The settings of a run, read once from the environment."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from storyreel.errors import UsageError

DEFAULT_ENDPOINT = "https://api.qnaigc.com/v1"


class Settings(BaseSettings):
    """Every setting with its default. The README lists the variables."""

    model_config = SettingsConfigDict(
        env_prefix="STORYREEL_", frozen=True, extra="ignore", populate_by_name=True
    )

    base_url: str = Field(DEFAULT_ENDPOINT, validation_alias="OPENAI_BASE_URL")
    api_key: SecretStr | None = Field(None, validation_alias="OPENAI_API_KEY")
    database_url: str | None = Field(
        None, description="a shared ledger; default: ledger.db in the workspace"
    )
    workspace: str | None = Field(
        None, description="the folder of all workspaces; default: runs in the project"
    )
    project: str | None = Field(
        None, description="names the project; default: the name in prefect.yaml"
    )
    store: str | None = Field(None, description="where stills are published for the API")
    catalog: Path | None = Field(None, description="a catalogue of your own")
    max_in_flight: int = Field(
        5, ge=1, le=10_000, description="jobs of this account running at once"
    )
    webhook_url: str | None = Field(None, description="receives how each run ended")
    webhook_secret: SecretStr | None = Field(None, description="signs what the webhook receives")
    time_scale: float = Field(
        1.0, gt=0, description="expected waits are multiplied by this; set for a simulator"
    )

    @model_validator(mode="before")
    @classmethod
    def _empty_means_not_set(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Treat an empty variable as not set: compose files and CI write those."""
        return {k: v for k, v in values.items() if not isinstance(v, str) or v.strip()}

    @field_validator("base_url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        parts = _address(value)
        if "?" in value or "#" in value:
            raise ValueError(
                "must be an address without `?` and `#`, such as https://api.qnaigc.com/v1"
            )
        path = re.sub(r"/{2,}", "/", parts.path).rstrip("/")
        return urlunsplit((parts.scheme, _host(parts), path, "", ""))

    @field_validator("webhook_url")
    @classmethod
    def _is_safe(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = _address(value)
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            raise ValueError("must be https, except for an address on this machine")
        return value.strip()

    @field_validator("database_url")
    @classmethod
    def _is_ledger(cls, value: str | None) -> str | None:
        if value is None:
            return None
        forms = "must be postgresql://USER:PASSWORD@HOST/NAME or sqlite:////PATH/TO/ledger.db"
        value = value.strip()
        scheme, separator, rest = value.partition("://")
        kind = scheme.partition("+")[0]
        if not separator or kind not in ("postgresql", "sqlite"):
            raise ValueError(forms)
        if kind == "sqlite" and (
            not rest.lstrip("/") or ":memory:" in rest or not rest.startswith("/")
        ):
            raise ValueError(f"{forms}; a ledger in memory would forget what is paid for")
        from sqlalchemy.engine import make_url

        try:
            make_url(value)
        except Exception as error:  # undocumented kinds, and its message repeats the password
            raise ValueError(forms) from error
        return value

    @field_validator("api_key")
    @classmethod
    def _is_header(cls, value: SecretStr | None) -> SecretStr | None:
        text = value.get_secret_value().strip() if value else ""
        if not text:
            return None
        if not text.isascii() or not text.isprintable() or " " in text:
            raise ValueError(
                "has characters that no key has: spaces, line breaks, or letters beyond ASCII"
            )
        return SecretStr(text)

    @property
    def endpoint(self) -> str:
        """Return the address of the API."""
        return self.base_url

    @property
    def is_local(self) -> bool:
        """Is the API on this machine, so that it can fetch stills from a loopback address?"""
        return is_loopback(urlsplit(self.base_url).hostname or "")


def _address(value: str) -> SplitResult:
    """Split an http(s) address. Raise `ValueError` with a message that does not repeat it."""
    value = value.strip()
    wanted = "must be an http(s) address, such as https://api.qnaigc.com/v1"
    try:
        parts = urlsplit(value)
        host = (parts.hostname or "").encode("idna")
    except ValueError as error:
        raise ValueError(wanted) from error
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(wanted)
    if any(c.isspace() or not c.isprintable() or c == "\\" for c in value):
        raise ValueError(f"{wanted}, without blanks, line breaks or backslashes")
    if "@" in parts.netloc:
        raise ValueError(
            "must be an address without a name or password; the key goes into OPENAI_API_KEY"
        )
    if not _has_good_port(parts):
        raise ValueError("has a port that is no number from 1 to 65535")
    return parts


def _has_good_port(parts: SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:
        return False


def _host(parts: SplitResult) -> str:
    """Return host and port in one spelling: lower case, without the scheme's own port."""
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}[parts.scheme]
    return host if parts.port in (None, usual) else f"{host}:{parts.port}"


def is_loopback(host: str) -> bool:
    """Is this host name this machine?"""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read() -> Settings:
    """Return the settings of the environment.

    Raises:
        UsageError: a variable has a value that cannot be used; names the variable, never its value.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        name = str(first["loc"][0])
        variable = name if name.isupper() else f"STORYREEL_{name.upper()}"
        raise UsageError(
            f"{variable} {_words(first)}", fix=f"correct or unset {variable}"
        ) from None


_BOUNDS = {"greater_than": "above", "greater_than_equal": "at least", "less_than_equal": "at most"}


def _words(detail: ErrorDetails) -> str:
    """Describe what is wrong with a value without repeating the value."""
    kind, bounds = detail["type"], detail.get("ctx") or {}
    if kind == "value_error":
        return str(bounds["error"])
    if kind.startswith(("int_", "float_")):
        return "must be a whole number" if kind.startswith("int_") else "must be a number"
    if kind in _BOUNDS:
        return f"must be {_BOUNDS[kind]} {next(iter(bounds.values())):g}"
    return f"cannot be used: {detail['msg']}"

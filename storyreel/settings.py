"""The settings of a run, read once from the environment."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from storyreel.errors import UsageError

DEFAULT_ENDPOINT = "https://api.qnaigc.com/v1"


class Settings(BaseSettings):
    """Every setting with its default. The names of the variables are in the README."""

    model_config = SettingsConfigDict(env_prefix="STORYREEL_", frozen=True, extra="ignore", populate_by_name=True)

    base_url: str = Field(DEFAULT_ENDPOINT, validation_alias="OPENAI_BASE_URL")
    api_key: SecretStr | None = Field(None, validation_alias="OPENAI_API_KEY")
    database_url: str | None = Field(None, description="a shared ledger; default: ledger.db in the workspace")
    workspace: str | None = Field(None, description="the folder of all workspaces; default: runs in the project")
    project: str | None = Field(None, description="names the project; default: the name in prefect.yaml")
    store: str | None = Field(None, description="where stills are published for the API")
    catalog: Path | None = Field(None, description="a catalogue of your own")
    max_in_flight: int = Field(5, ge=1, le=10_000, description="jobs of this account running at once")
    webhook_url: str | None = Field(None, description="told how each run ended")
    webhook_secret: SecretStr | None = Field(None, description="signs what the webhook is told")
    time_scale: float = Field(1.0, gt=0, description="expected waits are multiplied by this; set for a simulator")

    @field_validator("base_url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        value = value.strip().rstrip("/")
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
            raise ValueError("must be an http(s) address that ends in /v1")
        return value

    @field_validator("webhook_url")
    @classmethod
    def _is_safe(cls, value: str | None) -> str | None:
        parts = urlsplit(value or "")
        if value and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("must be an http(s) address")
        if value and parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            raise ValueError("must be https, but on this machine")
        return value

    @field_validator("api_key")
    @classmethod
    def _is_header(cls, value: SecretStr | None) -> SecretStr | None:
        text = value.get_secret_value().strip() if value else ""
        if not text:
            return None
        if not text.isascii() or not text.isprintable():
            raise ValueError("has characters that cannot stand in a header")
        return SecretStr(text)

    @property
    def endpoint(self) -> str:
        return self.base_url

    @property
    def is_local(self) -> bool:
        """Is the API on this machine, so that it can fetch stills from a loopback address?"""
        return is_loopback(urlsplit(self.base_url).hostname or "")


def is_loopback(host: str) -> bool:
    """Does this host name mean this machine?"""
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
        raise UsageError(f"{variable}: {first['msg']}", fix=f"correct or unset {variable}") from None

"""The simulator's profiles by name: `strict`, `lax`, and `gateway:NAME` for each gateway."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from storyreel.errors import UsageError
from storyreel.simulator.gateways import GATEWAYS, Gateway

GATEWAY = "gateway:"
ENVIRONMENT = "STORYREEL_SIMULATOR_PROFILE"  # passes the profile to a rehearsal's simulator


@dataclass(frozen=True, slots=True)
class Profile:
    """The form of requests and answers.

    `is_lax`: as a server of OpenAI's shape, and as every gateway.
    """

    name: str
    is_lax: bool
    gateway: Gateway | None = None

    @property
    def has_content(self) -> bool:
        """Does the profile serve bytes at `/content`?"""
        return self.gateway.has_content if self.gateway else self.is_lax


def find(name: str) -> Profile:
    """Return the profile of that name. Raises `UsageError` for an unknown name."""
    if name in ("strict", "lax"):
        return Profile(name, name == "lax")
    gateway = GATEWAYS.get(name.removeprefix(GATEWAY)) if name.startswith(GATEWAY) else None
    if gateway is None:
        names = [known for known, _ in listed()]
        near = [
            close
            for word in (name, f"{GATEWAY}{name}")
            for close in difflib.get_close_matches(word, names, 1)
        ]
        hint = f"; did you mean `{near[0]}`?" if near else ""
        raise UsageError(
            f"unknown profile `{name}`{hint}", fix="`storyreel simulator --profiles` lists them"
        )
    return Profile(name, True, gateway)


def listed() -> list[tuple[str, str]]:
    """Return (name, title) of each profile."""
    own = [("strict", "Qiniu's document, to the letter"), ("lax", "OpenAI's published schema")]
    return own + [(f"{GATEWAY}{name}", gateway.title) for name, gateway in GATEWAYS.items()]

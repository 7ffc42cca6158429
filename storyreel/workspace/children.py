"""How a process of ours is started from another: with what that one found, and without the key."""

from __future__ import annotations

import os
import sys

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def command(module: str, *arguments: str) -> list[str]:
    """The command that runs this module of ours; `-P`: not what the user's folder has of the same name."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment() -> dict[str, str]:
    """This process's environment without the key; the child imports from where we do, installed or not."""
    kept = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def spare_loopback() -> None:
    """Let no library of this process, or of one that it starts, ask a server of this machine through somebody's proxy.

    Call it before Prefect is imported: its clients read the environment as they are made.
    """
    named = [host.strip() for name in ("NO_PROXY", "no_proxy") for host in os.environ.get(name, "").split(",")]
    hosts = ",".join(dict.fromkeys([*filter(None, named), *LOOPBACK]))
    os.environ.update(NO_PROXY=hosts, no_proxy=hosts)

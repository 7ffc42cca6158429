"""Commands and environments of child processes: the same import path, without the key."""

from __future__ import annotations

import os
import sys

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of the package. `-P` ignores modules of the same name
    in the user's folder.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def environment() -> dict[str, str]:
    """Return this process's environment without the key. The child imports from the same
    places, installed or not.
    """
    kept = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def spare_loopback() -> None:
    """Keep every library of this process and its children from using a proxy for servers on this
    machine.

    Call it before Prefect is imported: its clients read the environment when they are made.
    """
    named = [
        host.strip()
        for name in ("NO_PROXY", "no_proxy")
        for host in os.environ.get(name, "").split(",")
    ]
    hosts = ",".join(dict.fromkeys([*filter(None, named), *LOOPBACK]))
    os.environ.update(NO_PROXY=hosts, no_proxy=hosts)

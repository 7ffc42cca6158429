"""A PostgreSQL server of the tests' own, where Debian's package (or another) is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def _bin() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    if found:
        return found[0].parent
    other = shutil.which("initdb")
    return Path(other).parent if other else None


@contextmanager
def server() -> Iterator[str]:
    """Start a server on a free loopback port; yields its URL.

    Skips where PostgreSQL is not installed.
    """
    programs = _bin()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql; .ci/run does)")
    user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    prefix = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="storyreel-pg-") as folder, socket.socket() as probe:
        if prefix:
            shutil.chown(folder, "postgres")
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        data = f"{folder}/data"
        subprocess.run(
            [*prefix, programs / "initdb", "-D", data, "-A", "trust", "-U", user],
            check=True,
            capture_output=True,
            cwd="/",
        )
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        control = [*prefix, programs / "pg_ctl", "-D", data, "-w", "-l", f"{folder}/log"]
        subprocess.run(
            [*control, "-o", options, "start"], check=True, stdout=subprocess.DEVNULL, cwd="/"
        )
        try:
            yield f"postgresql://{user}@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run(
                [*control, "-m", "immediate", "stop"],
                check=True,
                stdout=subprocess.DEVNULL,
                cwd="/",
            )

"""Install requirements into a virtual environment: by uv, which takes seconds, or by pip where uv
cannot be had.

`python .ci/install.py VENV REQUIREMENT...` makes VENV if it is not there. uv does not read pip's
configuration, so what pip is set up with on this machine (index, proxy's certificate, wheels on
disk) is handed to it, unless uv has settings of its own.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

# pip's setting -> uv's variable. Both take lists separated by spaces, but for find-links, where uv
# wants commas.
SAME = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "constraint": "UV_CONSTRAINT",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "timeout": "UV_HTTP_TIMEOUT",
}


def pip_settings(listed: str) -> dict[str, str]:
    """The settings in the text of `pip config list`: what the environment says goes before
    `install`, and that before `global`.
    """
    found: dict[str, tuple[int, str]] = {}
    for line in listed.splitlines():
        name, equals, value = line.partition("=")
        section, _, key = name.rpartition(".")
        rank = {"global": 0, "install": 1, ":env:": 2}.get(section)
        if equals and rank is not None and rank >= found.get(key, (0, ""))[0]:
            found[key] = rank, str(ast.literal_eval(value))
    return {key: value for key, (_, value) in found.items()}


def uv_environment(settings: dict[str, str], environment: dict[str, str]) -> dict[str, str]:
    """The environment for uv: these settings of pip, where it says nothing of its own."""
    added = {}
    for key, variable in SAME.items():
        if key in settings and variable not in environment:
            parts = settings[key].split()
            added[variable] = ",".join(parts) if key == "find-links" else " ".join(parts)
    if "UV_INDEX" in added:
        added.setdefault(
            "UV_INDEX_STRATEGY", "unsafe-best-match"
        )  # pip, too, takes the best of all indexes
    return added | environment


def uv_program(python: Path) -> Path | None:
    """uv: the one on the PATH, the one in the virtual environment, or one that pip brings there;
    None if it cannot.
    """
    own = python.with_name("uv")
    places = [shutil.which("uv"), own, Path(sys.executable).with_name("uv")]
    found = next((Path(place) for place in places if place and Path(place).exists()), None)
    if found:
        return found
    subprocess.run([*pip(python), "uv"], stderr=subprocess.DEVNULL, check=False)
    return own if own.exists() else None


def pip(python: Path) -> list[str]:
    """The beginning of an installation by pip."""
    return [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]


def install(venv: Path, requirements: list[str]) -> int:
    """Make the virtual environment and install into it; returns the exit status."""
    python = venv / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    uv = uv_program(python)
    if uv:
        listed = subprocess.run(
            [str(python), "-m", "pip", "config", "list"],
            capture_output=True,
            text=True,
            check=False,
        )
        environment = uv_environment(pip_settings(listed.stdout), dict(os.environ))
        command = [str(uv), "pip", "install", "--quiet", "--python", str(python), *requirements]
        if subprocess.run(command, env=environment, check=False).returncode == 0:
            return 0
        print("uv could not install it; trying pip", file=sys.stderr)
    return subprocess.run([*pip(python), *requirements], check=False).returncode


if __name__ == "__main__":
    sys.exit(install(Path(sys.argv[1]), sys.argv[2:]))

"""What is pinned names no host, uv gets pip's configuration, and the version stands once."""

from __future__ import annotations

import re
import runpy
from importlib import metadata
from pathlib import Path

from storyreel import __version__

ROOT = Path(__file__).parents[2]
INSTALL = runpy.run_path(str(ROOT / ".ci/install.py"))
LISTED = """\
:env:.cert='/certificates.pem'
:env:.find-links='/wheels /more'
global.find-links='/old'
global.index-url='file:///global'
install.index-url='file:///install'
global.extra-index-url='file:///a\\nfile:///b'
global.disable-pip-version-check='1'
"""


def test_every_pin_is_exact_and_names_no_host() -> None:
    lines = [
        line
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert len(lines) > 100
    assert all(re.match(r"^[A-Za-z0-9_.\-]+==[^ ]+( ;.*)?$", line) for line in lines)
    assert not [line for line in lines if "://" in line]


def test_uv_gets_what_pip_is_set_up_with() -> None:
    settings = INSTALL["pip_settings"](LISTED)
    assert INSTALL["uv_environment"](settings, {"PATH": "/bin"}) == {
        "PATH": "/bin",
        "SSL_CERT_FILE": "/certificates.pem",
        "UV_FIND_LINKS": "/wheels,/more",
        "UV_DEFAULT_INDEX": "file:///install",
        "UV_INDEX": "file:///a file:///b",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }


def test_what_uv_is_set_up_with_goes_before_what_pip_is() -> None:
    settings = INSTALL["pip_settings"](LISTED)
    assert (
        INSTALL["uv_environment"](settings, {"UV_DEFAULT_INDEX": "file:///own"})["UV_DEFAULT_INDEX"]
        == "file:///own"
    )


def test_the_version_is_that_of_the_package() -> None:
    assert metadata.version("storyreel") == __version__

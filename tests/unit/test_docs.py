"""What the documentation shows is what the program takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from storyreel.catalog import load as catalog
from storyreel.cli.parser import parser
from storyreel.manifest import Checked, reference
from storyreel.simulator import faults
from tests.conftest import png

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def fenced(text: str, language: str) -> list[str]:
    """What stands between the fences of that language."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def blocks(language: str) -> list[tuple[str, str]]:
    return [
        (f"{page.name}-{i}", text)
        for page in PAGES
        for i, text in enumerate(fenced(page.read_text("utf-8"), language))
    ]


@pytest.mark.parametrize(("name", "text"), [b for b in blocks("yaml") if "scenes:" in b[1]])
def test_every_storyboard_in_the_docs_is_sound(
    check: Callable[..., Checked], name: str, text: str
) -> None:
    stills = {file: png() for file in re.findall(r"stills/[a-z-]+\.png", text)}
    assert check(text, files=stills).storyboard is not None


@pytest.mark.parametrize(("name", "text"), [b for b in blocks("yaml") if "models:" in b[1]])
def test_every_catalogue_in_the_docs_is_sound(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    assert catalog.load(tmp_path / "mine.yaml")


@pytest.mark.parametrize(("name", "text"), [b for b in blocks("yaml") if "do:" in b[1]])
def test_every_faults_file_in_the_docs_is_sound(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "faults.yaml").write_text(text)
    assert faults.load(tmp_path / "faults.yaml").rules


@pytest.mark.parametrize(
    "line",
    [
        line
        for _, text in blocks("console")
        for line in text.splitlines()
        if line.startswith("storyreel ")
    ],
)
def test_every_command_in_the_docs_is_one(line: str) -> None:
    parser().parse_args(line.partition("#")[0].split()[1:])


def test_the_language_reference_is_that_of_the_code() -> None:
    assert (ROOT / "docs/language.md").read_text("utf-8") == reference.markdown()


def test_every_link_in_the_docs_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), (page.name, target)


def test_every_setting_is_in_the_readme() -> None:
    from storyreel.workspace.settings import Settings

    text = (ROOT / "README.md").read_text("utf-8")
    for name, field in Settings.model_fields.items():
        assert f"`{field.validation_alias or f'STORYREEL_{name.upper()}'}`" in text, name

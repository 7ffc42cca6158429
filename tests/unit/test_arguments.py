"""The words of a command line, in whatever order a person types them."""

from __future__ import annotations

from pathlib import Path

import pytest

from storyreel.cli import arguments
from storyreel.cli.examples import EXAMPLES
from storyreel.cli.main import main, parser
from storyreel.errors import UsageError


def settled(*words: str) -> object:
    args, rest = parser().parse_known_args(words)
    arguments.settle(args, rest)
    return args


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder beside the film's, with nothing in it."""
    (tmp_path / "film").mkdir()
    (tmp_path / "film/storyboard.yaml").write_text("version: 1\n")
    (tmp_path / "morning").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "film"


@pytest.mark.parametrize("command", ["plan", "run", "status", "cut", "report"])
@pytest.mark.parametrize(
    "words",
    ["film --only a b", "--only a b film", "--only a film b", "--only a --only b film", "--only=a,b film", "--only a,b film",
     "--only a b --simulate film", "--only a b film/storyboard.yaml", "film/storyboard.yaml --only a b"],
)  # fmt: skip
def test_only_leaves_the_file_alone(film: Path, command: str, words: str) -> None:
    args = vars(settled(command, *words.split()))
    assert args["only"] == ["a", "b"] and args["file"] == str(Path("film/storyboard.yaml"))


def test_force_takes_several_and_leaves_the_file_alone(film: Path) -> None:
    for words in (
        "--force a b film",
        "film --force a b",
        "film --force a --force b",
        "--only c --force a b film",
    ):
        args = vars(settled("run", *words.split()))
        assert args["force"] == ["a", "b"] and args["file"] == "film/storyboard.yaml"


def test_a_file_that_is_not_there_is_still_the_file(film: Path) -> None:
    args = vars(settled("plan", "--only", "a", "gone.yaml"))
    assert args["only"] == ["a"] and args["file"] == "gone.yaml"


def test_no_file_means_the_storyboard_of_this_folder(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        UsageError, match=r"no FILE is named, and there is no storyboard\.yaml here"
    ):
        settled("plan")
    monkeypatch.chdir(film)
    (film / "morning").mkdir()  # a folder of a scene's name is no storyboard
    args = vars(settled("plan", "--only", "morning"))
    assert args["file"] == "storyboard.yaml" and args["only"] == ["morning"]
    assert vars(settled("validate"))["files"] == ["storyboard.yaml"]
    args = vars(settled("retake", "morning"))
    assert (args["file"], args["scene"]) == ("storyboard.yaml", "morning")
    args = vars(settled("batch", "rows.csv"))
    assert (args["file"], args["rows"]) == ("storyboard.yaml", "rows.csv")


def test_a_scene_stands_behind_the_file_wherever_options_stand(film: Path) -> None:
    for words in ("film a --take 2", "film --take 2 a", "--take 2 film a"):
        args = vars(settled("resolve", *words.split()))
        assert (args["file"], args["scene"], args["take"]) == ("film/storyboard.yaml", "a", 2)
    for words in ("retake film", "resolve", "batch film/storyboard.yaml"):
        with pytest.raises(UsageError, match=r"no (SCENE|ROWS) is named"):
            settled(*words.split())
    with pytest.raises(UsageError, match="`more` is one word too many"):
        settled("retake", "film", "a", "more")


def test_the_bare_command_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "COMMAND" in capsys.readouterr().out


def test_an_unknown_option_is_wrong_usage(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["plan", "film", "--onyl", "a"])
    assert end.value.code == 2 and "--onyl" in capsys.readouterr().err


@pytest.mark.parametrize("command", sorted(EXAMPLES))
def test_every_command_has_an_example_that_it_takes(
    film: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for line in EXAMPLES[command].splitlines():
        words = line.partition("#")[0].partition(">")[0].split()
        assert words[:2] == ["storyreel", command]
        settled(*[word.replace("*", "storyboard") for word in words[1:]])
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert "example:" in capsys.readouterr().out

"""Looks at a clip's outer pictures: do they have anything to do with those that were sent?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from storyreel.film.media import thumbnail
from storyreel.film.media.likeness import likeness
from storyreel.ledger.rows import Take
from storyreel.manifest.storyboard import FileImage, Scene, SceneImage
from storyreel.manifest.storyboard import Image as Given
from storyreel.run.session import Session

FIRST, LAST = 0, 2  # of a clip's strip


def likenesses(session: Session, scene: Scene, take: Take) -> dict[str, float]:
    """How like the sent first and end picture the clip's are, by role; without those that cannot be
    judged: a picture by URL is not here, one of a single colour has nothing to compare.
    """
    path = session.workspace.root / take.here.path
    found: dict[str, float] = {}
    for role, given, at in (
        ("first_frame", scene.first_frame, FIRST),
        ("end_frame", scene.end_frame, LAST),
    ):
        if given is None or not _is_honoured(session, scene, role):
            continue
        try:
            made = thumbnail.of(path, session.workspace.strip(path))[at]
            judged = [
                one
                for file in _sent(session, given, take, role)
                if (one := _like(file, made)) is not None
            ]
        except (
            OSError,
            ValueError,
            SyntaxError,
        ):  # what cannot be read now is no reason to stop a run
            continue
        if judged:
            found[role] = max(judged)
    return found


def _is_honoured(session: Session, scene: Scene, role: str) -> bool:
    """Does the catalogue say that this mode honours an end frame? Where it does not, `validate` has
    warned.
    """
    modes = session.catalog.models[scene.model].end_frame.honoured_in
    return role != "end_frame" or modes is None or scene.mode in modes


def _sent(session: Session, given: Given, take: Take, role: str) -> Iterator[Path]:
    """The files that may be the picture that was sent: several where the other scene has several
    takes.
    """
    if isinstance(given, FileImage):
        path = session.storyboard.folder / given.path
        identity = str(take.inputs.get(role, {}).get("id", ""))
        if identity == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}":
            yield path
    elif isinstance(given, SceneImage):
        example = session.workspace.frame(given.scene, 1, given.still)
        yield from sorted(example.parent.glob(f"take-*-{given.still}.png"))


def _like(sent: Path, made: Image.Image) -> float | None:
    with Image.open(sent) as picture:
        return likeness(picture, made)

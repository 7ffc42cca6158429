"""Brings a finished clip home: downloads it, checks it, puts it in its place, and only then tells the ledger."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from storyreel.api.verdict import pace
from storyreel.errors import DownloadError, ErrorKind, FieldsIgnored, LinkExpired, MediaError, Stage
from storyreel.film.media import intake
from storyreel.ledger.clip import Clip
from storyreel.ledger.rows import Take
from storyreel.manifest.storyboard import Scene
from storyreel.run import delivery
from storyreel.run.comparison import ignored, unlike
from storyreel.run.looking import likenesses
from storyreel.run.session import Progress, Session
from storyreel.workspace.folder import move_whole

TRIES = 2  # of a damaged file, in one task run; Prefect's retries of the task come on top


async def collect(
    session: Session,
    take: Take,
    url: str | None,
    stills: Sequence[str] = (),
    pauses_s: Sequence[float] = delivery.PAUSES_S,
) -> Take:
    """Fetch the clip of a completed take and return its collected row.

    For a dead link a fresh one is asked for (see `delivery`); a damaged file is fetched again, and kept aside where it
    stays so. From the one decode that verifies the clip come its strip and, where it is long enough for them, the
    `stills` that `take_frames` will be asked for.

    Raises:
        LinkExpired: the clip is gone from the API.
        DownloadError, MediaError: it did not arrive in a usable state. The take stays `completed`: the next run tries again.
    """
    path = session.workspace.clip(take.scene, take.take)
    part = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    error: DownloadError | MediaError | None = None
    for attempt in range(TRIES):
        if attempt:
            await session.sleep(2.0**attempt * pace(session.settings.time_scale))
        session.tell(Progress(take.scene, take.take, Stage.COLLECTING))
        try:
            fetched = await delivery.fetch(session, take, url, part, pauses_s)
            strip, wanted = session.workspace.strip(path), _wanted(session, take, stills)
            facts = await session.apart(intake.take_in, part, strip, wanted)
            await session.media(move_whole, part, path)
        except DownloadError as caught:  # it was asked for again and again already
            error = caught
            break
        except MediaError as caught:
            error = await session.media(_set_aside, part, session.workspace.damaged(path), caught)
            url = None
            continue
        clip = Clip(
            path=session.workspace.relative(path),
            sha256=fetched.sha256,
            bytes=fetched.bytes,
            mtime_ns=path.stat().st_mtime_ns,
            **facts.as_dict(),
        )
        row = await session.write(session.ledger.collected, take.id, clip)
        session.workspace.damaged(path).unlink(missing_ok=True)
        return row
    assert error is not None
    await session.write(session.ledger.unusable, take.id, _kind(error), error.with_fix)
    raise error


def _kind(error: DownloadError | MediaError) -> ErrorKind:
    if isinstance(error, LinkExpired):
        return ErrorKind.EXPIRED
    return ErrorKind.MEDIA if isinstance(error, MediaError) else ErrorKind.TRANSIENT


def _set_aside(part: Path, path: Path, error: MediaError) -> MediaError:
    """Keep a damaged clip that was paid for, under a name that says so; what is no mp4 at all is no clip."""
    with contextlib.suppress(FileNotFoundError):
        with part.open("rb") as file:
            is_mp4 = file.read(8)[4:] == b"ftyp"
        if is_mp4:
            move_whole(part, path)
            return MediaError(f"{error.message}; kept as {path.name}", fix="run again: it is fetched once more")
        part.unlink()
    return error


def compare(session: Session, scene: Scene, take: Take) -> None:
    """Look at the first clip of a model in this run: where the endpoint ignored a field, no more is paid for.

    The clip stays, and is used: it is paid for. One that was made in this run stops it; an earlier one stops it only where
    something more of that model is to be sent.
    """
    if scene.model in session.compared:
        return
    session.compared.add(scene.model)
    found = (ignored(scene, take.clip) if take.clip else []) + unlike(likenesses(session, scene, take))
    if not found:
        return
    words = f"{session.endpoint} ignores what {scene.model} was asked for (scene `{scene.id}`): {'; '.join(found)}"
    session.tell(Progress(take.scene, take.take, Stage.COLLECTING, words))
    if session.accept_differences:
        return
    session.ignored[scene.model] = FieldsIgnored(
        words,
        fix="have the endpoint honour the field, or write what it makes into the storyboard; --accept-differences goes on",
    )
    if take.run_id == session.run_id:
        session.stop(session.ignored[scene.model])


async def take_frames(session: Session, take: Take, names: list[str]) -> list[str]:
    """Write the stills `names` (`first`, `last`, `last-3`) of a collected take as PNG; returns their relative paths."""
    wanted = _wanted(session, take, names)
    missing = {name: path for name, path in wanted.items() if not path.exists()}
    if missing:
        await session.apart(intake.write_stills, session.workspace.root / take.here.path, missing)
    return [session.workspace.relative(path) for path in wanted.values()]


def _wanted(session: Session, take: Take, names: Sequence[str]) -> dict[str, Path]:
    return {name: session.workspace.frame(take.scene, take.take, name) for name in names}

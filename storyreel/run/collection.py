"""Download a finished clip, verify it, move it into the workspace, then record it in the ledger."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from storyreel.api.part import Fetched
from storyreel.errors import DownloadError, ErrorKind, LinkExpired, MediaError, Stage
from storyreel.film.media import intake
from storyreel.film.media.clip import ClipFacts
from storyreel.ledger.clip import Clip
from storyreel.ledger.rows import Take
from storyreel.run import delivery
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

    For a dead link a fresh one is asked for (see `delivery`); a damaged file is fetched again, and
    kept aside where it stays so. From the one decode that verifies the clip come its strip and,
    where it is long enough for them, the `stills` that `take_frames` will be asked for.

    Raises:
        LinkExpired: the clip is gone from the API.
        DownloadError, MediaError: it did not arrive in a usable state. The take stays `completed`:
        the next run tries again.
    """
    path = session.workspace.clip(take.scene, take.take)
    part = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    error: DownloadError | MediaError | None = None
    for attempt in range(TRIES):
        if attempt:
            await session.clock.sleep(2.0**attempt * session.pace)
        session.on_progress(Progress(take.scene, take.take, Stage.COLLECTING))
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
        clip = _record(session, path, fetched, facts)
        row = await session.write(session.ledger.collected, take.id, clip)
        session.workspace.damaged(path).unlink(missing_ok=True)
        return row
    assert error is not None
    await session.write(session.ledger.unusable, take.id, _kind(error), error.with_fix)
    raise error


def _record(session: Session, path: Path, fetched: Fetched, facts: ClipFacts) -> Clip:
    """What the ledger keeps of a clip."""
    return Clip(
        path=session.workspace.relative(path),
        sha256=fetched.sha256,
        bytes=fetched.bytes,
        mtime_ns=path.stat().st_mtime_ns,
        **facts.as_dict(),
    )


def _kind(error: DownloadError | MediaError) -> ErrorKind:
    if isinstance(error, LinkExpired):
        return ErrorKind.EXPIRED
    return ErrorKind.MEDIA if isinstance(error, MediaError) else ErrorKind.TRANSIENT


def _set_aside(part: Path, path: Path, error: MediaError) -> MediaError:
    """Keep a damaged clip that was paid for, under a name that says so; what is no mp4 at all is no
    clip.
    """
    with contextlib.suppress(FileNotFoundError):
        with part.open("rb") as file:
            is_mp4 = file.read(8)[4:] == b"ftyp"
        if is_mp4:
            move_whole(part, path)
            return MediaError(
                f"{error.message}; kept as {path.name}", fix="run again: it is fetched once more"
            )
        part.unlink()
    return error


async def take_frames(session: Session, take: Take, names: list[str]) -> list[str]:
    """Write the stills `names` (`first`, `last`, `last-3`) of a collected take as PNG; returns
    their relative paths.
    """
    wanted = _wanted(session, take, names)
    missing = {name: path for name, path in wanted.items() if not path.exists()}
    if missing:
        await session.apart(intake.write_stills, session.workspace.root / take.here.path, missing)
    return [session.workspace.relative(path) for path in wanted.values()]


def _wanted(session: Session, take: Take, names: Sequence[str]) -> dict[str, Path]:
    return {name: session.workspace.frame(take.scene, take.take, name) for name in names}

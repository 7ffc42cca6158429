"""Brings a finished clip home: downloads it, checks it, puts it in its place, and only then tells the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from storyreel.errors import ApiError, DownloadError, LinkExpired, MediaError
from storyreel.ledger_rows import Take
from storyreel.media import still, thumbnail
from storyreel.media.clip import Opened, verify
from storyreel.session import Progress, Session
from storyreel.workspace import move_whole, write_whole

TRIES = 2  # of one task run; Prefect's retries of the task come on top
KEPT_OPEN = 4


async def collect(session: Session, take: Take, url: str | None) -> Take:
    """Fetch the clip of a completed take and return its collected row.

    A dead link is asked for anew; a damaged file is fetched again.

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
            await session.sleep(min(2.0**attempt, 10.0) * max(0.02, min(1.0, session.settings.time_scale)))
        if url is None or isinstance(error, LinkExpired):
            url = await _fresh_url(session, take)
        session.tell(Progress(take.scene, take.take, "collecting"))
        try:
            fetched = await session.client.download(url, part)
            opened = await session.media(verify, part, tail=1)
        except (DownloadError, MediaError) as caught:
            part.unlink(missing_ok=True)
            error = caught
            continue
        move_whole(part, path)
        _keep_open(session, take.id, opened)
        await session.media(_keep_strip, session.workspace.strip(path), opened)
        clip: dict[str, Any] = {
            "path": session.workspace.relative(path),
            "sha256": fetched.sha256,
            "bytes": fetched.bytes,
            "mtime_ns": path.stat().st_mtime_ns,
            **opened.facts.as_dict(),
        }
        return await session.write(session.ledger.collected, take.id, clip)
    assert error is not None
    kind = "expired" if isinstance(error, LinkExpired) else "media" if isinstance(error, MediaError) else "transient"
    await session.write(session.ledger.unusable, take.id, kind, error.message)
    raise error


async def take_frames(session: Session, take: Take, names: list[str]) -> list[str]:
    """Write the stills `names` (`first`, `last`, `last-3`) of a collected take as PNG; returns their relative paths."""
    wanted = {name: session.workspace.frame(take.scene, take.take, name) for name in names}
    missing = {name: path for name, path in wanted.items() if not path.exists()}
    if missing:
        opened = session.opened.pop(take.id, None)
        await session.media(_write_frames, session.workspace.root / (take.clip or {})["path"], missing, opened)
    session.opened.pop(take.id, None)
    return [session.workspace.relative(path) for path in wanted.values()]


def _write_frames(clip: Path, wanted: dict[str, Path], opened: Opened | None) -> None:
    back = max((-int(name[4:] or 0) for name in wanted if name.startswith("last")), default=0)
    if opened is None or len(opened.tail) <= back:
        opened = verify(clip, tail=back + 1)
    for name, path in wanted.items():
        if name == "first":
            picture = opened.first
        else:
            offset = int(name[4:] or 0)
            if len(opened.tail) < 1 - offset:
                raise MediaError(f"the clip has only {opened.facts.frames} pictures; {name} is before its beginning")
            picture = opened.tail[offset - 1]
        write_whole(path, still.png(picture))


def _keep_strip(path: Path, opened: Opened) -> None:
    write_whole(path, thumbnail.strip(opened))


def _keep_open(session: Session, take_id: int, opened: Opened) -> None:
    session.opened[take_id] = opened
    while len(session.opened) > KEPT_OPEN:
        session.opened.pop(next(iter(session.opened)))


async def _fresh_url(session: Session, take: Take) -> str:
    """Ask the job for its URL; a server of OpenAI's own shape has none and hands the bytes out itself."""
    try:
        job = await session.client.retrieve(take.job_id or "")
    except ApiError as error:
        raise LinkExpired(f"the job could not be asked for a fresh link: {error.message}") from error
    return job.url or session.client.content_url(take.job_id or "")

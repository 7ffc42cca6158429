"""Prepare the pictures and the video of a request: read them, fit them, then publish or inline
them.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storyreel.catalog.load import ImageRule, parse_size
from storyreel.errors import ApiError, MediaError, UsageError
from storyreel.film.media import still
from storyreel.ledger.rows import Take
from storyreel.manifest.storyboard import FileImage, Image, Scene, SceneImage, UrlImage
from storyreel.plan.make import ScenePlan
from storyreel.plan.request import VIDEO
from storyreel.run.session import Session


@dataclass(frozen=True, slots=True)
class Ready:
    """What to send and what to remember.

    `images` maps role to URL or base64; `record` goes into ledger and report.
    """

    images: dict[str, str]
    video_url: str | None
    remix_of: str | None
    record: dict[str, dict[str, Any]]

    @property
    def sent(self) -> dict[str, str]:
        """The address or base64 of each input by role, as a request's body takes them."""
        return {**self.images, **({VIDEO: self.video_url} if self.video_url else {})}


def needs_store(scene: Scene, rule: ImageRule) -> bool:
    """Must a picture of this scene be published because the model takes it by URL only?"""
    own = [image for _, image in scene.images if not isinstance(image, UrlImage)]
    mixed = len(own) != len(scene.images)
    return bool(own) and (set(rule.by) == {"url"} or mixed)


async def prepare(session: Session, planned: ScenePlan, sources: dict[str, Take]) -> Ready:
    """Make ready what `planned` sends. `sources` holds the used take of every scene above.

    Raises:
        MediaError: a picture does not fit the model and the scene does not say how to make it fit.
        UsageError: a picture must be published and no store is set.
        ApiError: the address of a reference video could not be asked for.
    """
    scene = planned.scene
    rule = session.catalog.models[scene.model].image
    by_url = needs_store(scene, rule) or any(isinstance(i, UrlImage) for _, i in scene.images)
    images: dict[str, str] = {}
    record: dict[str, dict[str, Any]] = {}
    for role, one in planned.inputs.items():
        record[role] = {"from": one.label, "id": one.identity.recorded}
    for role, image in scene.images:
        if isinstance(image, UrlImage):
            images[role] = image.url
            continue
        identity = str(planned.inputs[role].identity)
        data, kind, note = await session.media(
            _bytes, session, scene, rule, image, sources, identity
        )
        record[role]["sha256"] = hashlib.sha256(data).hexdigest()
        if note:
            record[role]["made_to_fit"] = note
        if by_url:
            images[role] = await session.media(_publish, session, data, kind, scene.id)
        else:
            images[role] = _inline(data, kind, rule)
    video_url = await _video_url(session, scene, sources)
    remix_of = None
    if scene.remix:
        remix_of = scene.remix.video_id or sources[scene.remix.scene or ""].job_id
    return Ready(images, video_url, remix_of, record)


def _bytes(
    session: Session,
    scene: Scene,
    rule: ImageRule,
    image: Image,
    sources: dict[str, Take],
    identity: str,
) -> tuple[bytes, str, str | None]:
    """(bytes, format, what was done to them) of a picture."""
    if isinstance(image, FileImage):
        data = _as_priced(session.storyboard.folder / image.path, image, identity)
    else:
        assert isinstance(image, SceneImage)
        take = sources[image.scene]
        data = session.workspace.frame(take.scene, take.take, image.still).read_bytes()
    kind, width, height, _ = still.inspect(data, 2**30)
    want = parse_size(scene.size)
    if not rule.exact_size or (width, height) == want:
        return data, kind, None
    how = _fit_method(scene, (width, height), want, is_chained=isinstance(image, SceneImage))
    return (
        still.fitted(data, want, how),
        "png",
        f"{how} from {width}x{height} to {want[0]}x{want[1]}",
    )


def _as_priced(path: Path, image: FileImage, identity: str) -> bytes:
    """The bytes of the author's picture, if they still are those that the take's key was made of.

    Raises `UsageError`.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"the picture `{image.path}` can no longer be read ({error.strerror}); "
            "nothing was sent for this scene",
            fix=f"put `{image.path}` back, then run again",
        ) from error
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != identity:
        raise UsageError(
            f"the picture `{image.path}` changed after this run began; nothing was sent "
            "for this scene",
            fix="run again: the plan then prices the scene with the picture as it is now",
        )
    return data


def _fit_method(
    scene: Scene, have: tuple[int, int], want: tuple[int, int], *, is_chained: bool
) -> Any:
    """How to make a picture fit.

    A frame of the same shape out of a clip is scaled: its size was never the author's choice.
    """
    if is_chained and abs(have[0] * want[1] / (have[1] * want[0]) - 1) < 0.01:
        return "scale"
    if scene.fit in ("crop", "pad"):
        return scene.fit
    raise MediaError(
        f"a picture for scene `{scene.id}` is {have[0]}x{have[1]}, the model takes "
        f"{want[0]}x{want[1]}",
        fix="add `fit: crop` or `fit: pad` to the scene",
    )


def _inline(data: bytes, kind: str, rule: ImageRule) -> str:
    """A picture inside the request: base64, or a data URI, which a multipart body sends as a
    file.
    """
    text = base64.b64encode(data).decode()
    return text if "base64" in rule.by else f"data:image/{kind};base64,{text}"


def _publish(session: Session, data: bytes, kind: str, scene_id: str) -> str:
    if session.store is None:
        raise no_store(scene_id)
    return session.store.publish(data, kind)


def no_store(scene_id: str) -> UsageError:
    """The error of a picture that the API could not fetch."""
    return UsageError(
        f"scene `{scene_id}` sends a picture that the API must fetch from a public "
        "address, and no store is set",
        fix="set STORYREEL_STORE (README, Settings), name the picture by URL, or rehearse "
        "with --simulate",
    )


async def _video_url(session: Session, scene: Scene, sources: dict[str, Take]) -> str | None:
    """The address of the reference video: the author's, or that of a scene's job, asked for again
    while it lives.
    """
    if scene.video is None or scene.video.url:
        return scene.video.url if scene.video else None
    take = sources[scene.video.scene or ""]
    if take.job_id:
        try:
            job = await session.client.retrieve(take.job_id)
        except ApiError:
            job = None
        if (
            job
            and job.url
            and (job.expires_at is None or job.expires_at > session.clock.now() + 3600)
        ):
            return job.url
    path = session.workspace.root / take.here.path
    return await session.media(_publish, session, path.read_bytes(), "mp4", scene.id)

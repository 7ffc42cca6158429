"""Name each input of a scene by its content."""

from __future__ import annotations

from collections.abc import Mapping

from storyreel.manifest.storyboard import FileImage, Image, Scene, SceneImage, UrlImage
from storyreel.plan.identity import Identity, Input, Kind
from storyreel.plan.model import ScenePlan
from storyreel.plan.request import REMIX_OF, VIDEO


def inputs_of(
    scene: Scene, digests: Mapping[str, str], upstream: Mapping[str, ScenePlan]
) -> dict[str, Input]:
    """Return the pictures and the video of a scene by role.

    `digests` maps a picture file to its sha256. `upstream` holds the plans of the scenes above.
    """
    found = {
        role: Input(
            image.label, _image_identity(image, digests, upstream), _source(image), image.keyframe
        )
        for role, image in scene.images
    }
    if (video := scene.video) is not None:
        identity = (
            Identity(Kind.ADDRESS, video.url)
            if video.url
            else Identity(Kind.CLIP, take=_upstream_take(upstream, video.scene))
        )
        found[VIDEO] = Input(video.label, identity, video.scene)
    if (remix := scene.remix) is not None:
        name = remix.video_id
        identity = (
            Identity(Kind.VIDEO, name)
            if name
            else Identity(Kind.CLIP, take=_upstream_take(upstream, remix.scene))
        )
        found[REMIX_OF] = Input(remix.label, identity, remix.scene)
    return found


def _source(image: Image) -> str | None:
    """Return the id of the scene that makes the picture, if one does."""
    return image.scene if isinstance(image, SceneImage) else None


def _image_identity(
    image: Image, digests: Mapping[str, str], upstream: Mapping[str, ScenePlan]
) -> Identity:
    match image:
        case UrlImage(url=url):
            return Identity(Kind.ADDRESS, url)
        case FileImage(path=path):
            return Identity(Kind.BYTES, digests.get(path, ""))
        case SceneImage(scene=scene, frame=frame, offset=offset):
            return Identity(Kind.FRAME, f"{frame}:{offset}", _upstream_take(upstream, scene))


def _upstream_take(upstream: Mapping[str, ScenePlan], scene_id: str | None) -> str:
    """Return the name of the take that this scene provides; `nothing` where it has none."""
    scene_plan = upstream.get(scene_id or "")
    return (scene_plan.identity if scene_plan else None) or "nothing"

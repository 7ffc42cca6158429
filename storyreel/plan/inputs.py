"""The inputs of a scene, each named by its content."""

from __future__ import annotations

from collections.abc import Mapping

from storyreel.manifest.storyboard import FileImage, Image, Scene, SceneImage, UrlImage
from storyreel.plan.identity import Identity, Input, Kind
from storyreel.plan.model import ScenePlan
from storyreel.plan.request import REMIX_OF, VIDEO


def inputs_of(
    scene: Scene, digests: Mapping[str, str], above: Mapping[str, ScenePlan]
) -> dict[str, Input]:
    """The pictures and the video of a scene by role, named by what they are made from."""
    found = {
        role: Input(
            image.label, _image_identity(image, digests, above), _source(image), image.keyframe
        )
        for role, image in scene.images
    }
    if (video := scene.video) is not None:
        identity = (
            Identity(Kind.ADDRESS, video.url)
            if video.url
            else Identity(Kind.CLIP, take=_above(above, video.scene))
        )
        found[VIDEO] = Input(video.label, identity, video.scene)
    if (remix := scene.remix) is not None:
        name = remix.video_id
        identity = (
            Identity(Kind.VIDEO, name)
            if name
            else Identity(Kind.CLIP, take=_above(above, remix.scene))
        )
        found[REMIX_OF] = Input(remix.label, identity, remix.scene)
    return found


def _source(image: Image) -> str | None:
    return image.scene if isinstance(image, SceneImage) else None


def _image_identity(
    image: Image, digests: Mapping[str, str], above: Mapping[str, ScenePlan]
) -> Identity:
    match image:
        case UrlImage(url=url):
            return Identity(Kind.ADDRESS, url)
        case FileImage(path=path):
            return Identity(Kind.BYTES, digests.get(path, ""))
        case SceneImage(scene=scene, frame=frame, offset=offset):
            return Identity(Kind.FRAME, f"{frame}:{offset}", _above(above, scene))


def _above(above: Mapping[str, ScenePlan], scene_id: str | None) -> str:
    planned = above.get(scene_id or "")
    return (planned.identity if planned else None) or "nothing"

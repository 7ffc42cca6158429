"""The shape of a storyboard file, key by key. JSON Schema and language reference are generated
from these classes.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, JsonValue, Tag

ID_PATTERN = r"^[a-z0-9][a-z0-9-]{0,62}$"
Id = Annotated[str, Field(pattern=ID_PATTERN)]
SizeText = Annotated[
    str, Field(pattern=r"^[1-9][0-9]{1,4}x[1-9][0-9]{1,4}$", description="width x height in pixels")
]


def slug(text: str) -> str:
    """Make an id of any text: a-z, 0-9 and -, at most 63 characters; empty if no such character
    is left.
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].rstrip("-")


class Part(BaseModel):
    """A mapping in the file: strict types, no unknown key."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class KeyframeRef(Part):
    """A still named under `keyframes`."""

    keyframe: str


class FrameRef(Part):
    """A still taken out of another scene's clip."""

    scene: str = Field(description="the id of a scene")
    frame: Literal["first", "last"] = Field("last", description="which picture of its clip")
    offset_frames: Annotated[int, Field(le=0, ge=-240)] = Field(
        0,
        description="with `last`: so many frames before the end, e.g. -3; the cut trims there too",
    )


def _image_kind(value: Any) -> str:
    if isinstance(value, dict):
        return "=scene" if "scene" in value else "=keyframe"
    if isinstance(value, FrameRef):
        return "=scene"
    return "=keyframe" if isinstance(value, KeyframeRef) else "=text"


ImageRef = Annotated[
    Annotated[
        str,
        Field(
            min_length=1,
            description="`previous`, an http(s) URL, or the path of a file relative to this "
            "storyboard",
        ),
        Tag("=text"),
    ]
    | Annotated[KeyframeRef, Tag("=keyframe")]
    | Annotated[FrameRef, Tag("=scene")],
    Discriminator(_image_kind),
]


class VideoRef(Part):
    """A video that guides the new one (`feature`) or is edited by it (`base`)."""

    scene: str | None = Field(None, description="use this scene's clip")
    url: Annotated[str, Field(pattern=r"^https?://")] | None = Field(
        None, description="or this public mp4 or mov"
    )
    refer_type: Literal["feature", "base"] = Field(
        "base", description="feature: follow its style; base: edit it"
    )
    keep_original_sound: bool = Field(False, description="keep the sound of the reference video")


class VideoIdRef(Part):
    """A finished video of this account that no scene here made."""

    video_id: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9_.:\-]+$")] = Field(
        description="its id, e.g. qvideo-…"
    )


def _remix_kind(value: Any) -> str:
    return "=video" if isinstance(value, (dict, VideoIdRef)) else "=scene"


RemixRef = Annotated[
    Annotated[str, Field(description="the id of a scene"), Tag("=scene")]
    | Annotated[VideoIdRef, Tag("=video")],
    Discriminator(_remix_kind),
]

Transition = Literal["cut", "fade", "dissolve"]


class Fallback(Part):
    """Another way to make the clip; what it leaves out is as the scene has it."""

    model: str | None = Field(None, description="a model of the catalogue")
    mode: str | None = Field(None, description="quality, where the model has modes: std or pro")


class SceneFields(Part):
    """What `defaults` may set for every scene."""

    model: str | None = Field(None, description="a model of the catalogue; see `storyreel models`")
    seconds: int | None = Field(
        None, description="length of the clip in whole seconds, as the model sells it"
    )
    size: SizeText | None = None
    mode: str | None = Field(None, description="quality, where the model has modes: std or pro")
    first_frame: ImageRef | None = Field(
        None, description="the clip begins on this picture; null: on none"
    )
    end_frame: ImageRef | None = Field(
        None, description="the clip ends on this picture; needs a first_frame"
    )
    reference_images: list[ImageRef] | None = Field(
        None, description="people, things or places to keep the same"
    )
    reference_video: VideoRef | None = None
    fit: Literal["refuse", "crop", "pad"] | None = Field(
        None,
        description="a picture of another size than the model demands: refuse it, or make it fit "
        "(default: refuse)",
    )
    takes: Annotated[int, Field(ge=1, le=50)] | None = Field(
        None, description="how many to make (default: 1)"
    )
    pick: Annotated[int, Field(ge=1, le=50)] | None = Field(
        None,
        description="the take that other scenes use and the cut shows (default: the "
        "first good one)",
    )
    style: Literal["none"] | None = Field(
        None, description="none: do not compose the style into this prompt"
    )
    extras: dict[str, JsonValue] | None = Field(
        None,
        description="further fields that the model takes (its `extras` in the catalogue), sent as "
        "they are",
    )
    fallback: Annotated[list[Fallback], Field(max_length=5)] | None = Field(
        None,
        description="tried one after the other, each only after the API said that the one before "
        "failed",
    )
    caption: str | None = Field(None, description="for subtitles; never sent to the API")
    transition: Transition | None = Field(None, description="how the film comes into this scene")
    title: str | None = Field(None, description="a name for people; never sent")
    note: str | None = Field(None, description="free text for people; never sent")


class SceneEntry(SceneFields):
    """One scene as the author wrote it."""

    id: Id | None = Field(
        None, description="its name here, in the workspace and in the report: a-z, 0-9 and -"
    )
    prompt: str | None = Field(None, description="what to show; ${name} is replaced from `vars`")
    remix_of: RemixRef | None = Field(
        None,
        description="make this scene out of a finished one; takes nothing but prompt, takes, pick "
        "and caption",
    )
    fallback_prompt: str | None = Field(
        None, description="sent once instead of `prompt` if moderation blocks it"
    )


class Style(Part):
    """Text composed into every prompt."""

    prefix: str = ""
    suffix: str = ""


def _decimal(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        raise ValueError("must be an amount of money such as 40 or 12.50")
    try:
        amount = Decimal(str(value))
    except ArithmeticError as error:
        raise ValueError("must be an amount of money such as 40 or 12.50") from error
    if not amount.is_finite() or amount < 0:
        raise ValueError("must be an amount of money such as 40 or 12.50")
    return amount


Money = Annotated[
    Decimal,
    BeforeValidator(_decimal),
    Field(json_schema_extra={"anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}]}),
]


class Budget(Part):
    """What this workspace may spend over its whole life."""

    limit: Money = Field(description="an amount, e.g. 40 or 12.50")
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = Field(
        "CNY", description="ISO 4217, e.g. CNY or USD"
    )


class Policy(Part):
    """What to do when something goes wrong."""

    on_failure: Literal["continue", "stop"] = Field(
        "continue", description="continue: only the scenes that need the failed one are blocked"
    )
    on_ambiguous: Literal["hold", "resubmit"] = Field(
        "hold",
        description="when the answer to a paid request was lost: hold the scene, or send "
        "it once more",
    )
    on_upstream_change: Literal["rerun", "keep"] = Field(
        "rerun", description="does a new take upstream make a scene stale?"
    )
    approve: Literal["plan", "none"] = Field(
        "none",
        description="plan: a run that a schedule or the UI started waits until a person "
        "approves its "
        "price",
    )


class Music(Part):
    """A track under the film."""

    file: Annotated[str, Field(min_length=1, description="relative to this storyboard")]
    gain_db: Annotated[float, Field(ge=-60, le=20, strict=False)] = -12


class Cut(Part):
    """How the film is assembled."""

    enabled: bool = True
    transition: Transition = Field(
        "cut",
        description="between scenes; a scene's own `transition` is how the film comes into it",
    )
    transition_s: Annotated[
        float, Field(gt=0, le=5, strict=False, description="how long a fade or dissolve lasts")
    ] = 0.5
    music: Music | None = None
    subtitles: Literal["none", "soft", "burned"] = Field(
        "none", description="from the captions: a track to switch on, or letters in the picture"
    )
    missing: Literal["refuse", "skip", "slate"] = Field(
        "refuse",
        description="a scene without a clip: no film, a film without it, or a card with its name",
    )


class Document(Part):
    """A storyboard, version 1."""

    version: Literal[1] | None = None
    id: Id | None = Field(None, description="names the workspace; default: the file's name")
    title: str | None = None
    description: str | None = Field(None, description="free text, never sent to the API")
    defaults: SceneFields = SceneFields()
    vars: dict[str, str | int | float] = Field(
        default_factory=dict, description="${name} in any prompt or caption"
    )
    style: Style = Style()
    keyframes: dict[str, Annotated[str, Field(min_length=1)]] = Field(
        default_factory=dict,
        description="named stills: an http(s) URL, or a file relative to this storyboard",
    )
    chain: bool = Field(
        False, description="a scene without first_frame starts from the scene above"
    )
    budget: Budget | None = None
    policy: Policy = Policy()
    scenes: list[SceneEntry] | None = None
    cut: Cut = Cut()

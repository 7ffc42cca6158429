"""The language reference, generated from the classes that read the language."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from storyreel.manifest import document as d

_HEAD = """\
# The storyboard language, version 1

Made by `storyreel schema --of language`; do not edit by hand. A storyboard is one YAML file. Unknown keys are errors, with a guess
at what was meant; `storyreel validate FILE` finds every fault at once and says where it stands and how to mend it.

"""

_RULES = """\
## What refers to what

- An **image** is `previous` (the last frame of the scene above), an `http(s)://` URL, the path of a file in the storyboard's folder,
  `{keyframe: name}`, or `{scene: id, frame: first|last}`.
- Two scenes that name the same **keyframe**, one ending and the next beginning on it, depend on nothing: they run side by side.
- A scene may refer to one **below** it. Scenes made from each other in a circle are an error; a keyframe cuts the circle.
- `chain: true` gives a scene without `first_frame` the last frame of the scene above. `first_frame: null` opts out, and so does a
  `reference_video` to edit.
- In YAML ` #` begins a comment, also in the middle of an unquoted text: `prompt: a #ff6600 logo` is `a`. A comment right behind a text is a
  warning, unless it is set apart like this:  `# by two spaces and one`. Text in quotes is sent whole.
- `${name}` in a prompt, a style, a caption, the title, or the address of a picture is replaced from `vars` or `--var name=value`; values are not looked into again. `$$` is
  a literal `$`.
- The **style** is put around every prompt, joined by a comma, or by a space where the left part ends in punctuation. The limit of
  the model counts the composed prompt, in characters.
- A **remix** inherits model, length, size and mode, and takes nothing but prompt, takes, pick, caption, and what is never sent. A
  remix of a remix is fine. The API documents remix for sora-2 only; for other models it is a warning.
- A **default** applies to every scene that has no value of its own; `null` in the scene takes it away. A remix takes no defaults.
- `takes: 3` makes three clips of one request. The first good one is used by other scenes and shown in the film, or the one that
  `pick` names. Raising `takes` later makes only what is missing.
- A chain across **different models or sizes**: a frame of the same shape is scaled where the model demands an exact size, and the
  report says so; a frame of another shape is an error unless the scene says `fit: crop` or `fit: pad`.
- A frame can be taken out of any clip, whatever model made it.

## What makes a scene be made again

Exactly what reaches the API: the composed prompt, model, seconds, size, mode, the bytes (not the names) of its pictures, and the
takes it is made from. Not: titles, notes, captions, order, the cut, the file's name. A renamed scene keeps its clips. With
`policy: {on_upstream_change: keep}` a new take above does not make a scene stale. `run --force SCENE` makes it again: the clip that is here is
used until the new one is, and a job that is under way already is taken up;
`storyreel retake FILE SCENE` makes one more take.
"""

_SECTIONS: list[tuple[str, str, type[BaseModel]]] = [
    ("The file", "", d.Document),
    ("A scene", "Every field of `defaults` too, and:", d.SceneEntry),
    ("Defaults", "`defaults`, and each scene:", d.SceneFields),
    ("A frame of another scene", "`{scene: id, …}` where an image is wanted.", d.FrameRef),
    ("A reference video", "`reference_video`, exactly one of `scene` and `url`.", d.VideoRef),
    ("Style", "`style`", d.Style),
    ("Budget", "`budget`: over the workspace's life, checked before each paid request.", d.Budget),
    ("Policy", "`policy`", d.Policy),
    ("Cut", "`cut`: how the film is made.", d.Cut),
    ("Music", "`cut.music`", d.Music),
]

_SHAPES = {
    "KeyframeRef": "`{keyframe: name}`",
    "FrameRef": "`{scene: id, …}`",
    "VideoIdRef": "`{video_id: id}`",
    "SceneEntry": "scenes",
}


def markdown() -> str:
    """Return the whole page as Markdown."""
    parts = [_HEAD, _RULES]
    for title, lead, model in _SECTIONS:
        parts.append(
            f"\n## {title}\n\n{lead + chr(10) + chr(10) if lead else ''}| key | value | default | |\n|---|---|---|---|\n"
        )
        inherited = d.SceneFields.model_fields if model is d.SceneEntry else {}
        schema = model.model_json_schema()
        for name, field in schema["properties"].items():
            if name in inherited:
                continue
            text = _cell(str(field.get("description", "")))
            parts.append(f"| `{name}` | {_type(field, schema)} | {_default(field)} | {text} |\n")
    return "".join(parts)


def _type(field: dict[str, Any], schema: dict[str, Any]) -> str:
    options = [o for o in field.get("anyOf") or field.get("oneOf") or [field] if o.get("type") != "null"]
    return " or ".join(dict.fromkeys(_one(option, schema) for option in options))


def _one(option: dict[str, Any], schema: dict[str, Any]) -> str:
    if "$ref" in option:
        return _SHAPES.get(option["$ref"].rpartition("/")[2], "mapping")
    if "oneOf" in option or "anyOf" in option:
        return _type(option, schema)
    if "enum" in option:
        return " or ".join(f"`{value}`" for value in option["enum"])
    if "const" in option:
        return f"`{option['const']}`"
    if option.get("type") == "array":
        return f"list of {_type(option['items'], schema)}"
    if option.get("type") == "object":
        return "mapping"
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    bounds = [
        f"{sign} {option[k]:g}"
        for k, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"))
        if k in option
    ]
    return words.get(str(option.get("type")), "any") + (f" {', '.join(bounds)}" if bounds else "")


def _default(field: dict[str, Any]) -> str:
    value = field.get("default")
    if value is None or isinstance(value, (dict, list)) or value == "":
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")

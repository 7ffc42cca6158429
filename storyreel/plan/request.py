"""One scene's request: its key, the form that is shown, the body that is sent."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from storyreel.catalog import load as catalogs
from storyreel.catalog.dialect import Dialect, put, put_all
from storyreel.ledger.rows import Take
from storyreel.manifest.storyboard import Scene
from storyreel.plan import identity
from storyreel.plan.identity import Input

REMIX_OF = "remix_of"
VIDEO = "reference_video"


@dataclass(frozen=True)
class Request:
    """One scene's request.

    `inputs` are its pictures and videos by role: `first_frame`, `reference_images.1`, …
    """

    scene: Scene
    dialect: Dialect
    inputs: Mapping[str, Input]

    def parts(self) -> dict[str, Any]:
        """Return everything that is sent besides the inputs. Nothing else is sent.

        `fit` changes the bytes of the pictures that are sent.
        """
        scene = self.scene
        if scene.remix:
            return {"prompt": scene.prompt}
        parts: dict[str, Any] = {
            "model": scene.model,
            "prompt": scene.prompt,
            "seconds": scene.seconds,
            "size": scene.size,
            "mode": scene.mode,
        }
        if scene.video:
            parts["video"] = [scene.video.refer_type, scene.video.keep_sound]
        if scene.fit != "refuse":
            parts["fit"] = scene.fit
        if scene.extras:
            parts["extras"] = scene.extras
        return parts

    @cached_property
    def key(self) -> str:
        """Return the hash of all that is sent: the body, with each input by its content.

        A body that a dialect of the first version would also make is hashed by its parts, as that
        version did. So the keys of takes that are already paid for never change.
        """
        ids = {role: str(given.identity) for role, given in self.inputs.items()}
        parts = self.parts()
        hashed = (
            parts
            if self._is_of_the_first_version(ids)
            else {"body": self.body(ids), "fit": parts.get("fit")}
        )
        text = json.dumps([hashed, ids], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def _is_of_the_first_version(self, ids: Mapping[str, str]) -> bool:
        """Would a dialect of the first version make the same body?"""
        body = self.body(ids)
        return any(
            dataclasses.replace(self, dialect=dialect).body(ids) == body
            for dialect in _first_dialects()
        )

    def body(self, sent: Mapping[str, str]) -> dict[str, Any]:
        """Return the JSON to send. `sent` maps the role of each input to its address or base64.

        Every part is sent, because the documented defaults contradict each other.
        """
        parts = self.parts()
        if self.scene.remix:
            return parts
        body: dict[str, Any] = {}
        for name in ("model", "prompt"):
            self.dialect.write(body, name, parts[name])
        refer_type, keeps_sound = parts.get("video", ("", False))
        words = {"$refer_type": refer_type, "$keep_original_sound": "yes" if keeps_sound else "no"}
        for role, value in sent.items():
            self.dialect.write_input(body, role, value, words)
        for name in ("seconds", "size", "mode"):
            if parts[name] is not None:
                self.dialect.write(body, name, parts[name])
        put_all(body, self.dialect.constants)
        for name, value in parts.get("extras", {}).items():
            put(body, f"{self.dialect.extras}.{name}" if self.dialect.extras else name, value)
        return body

    def shown(self, form: str = "{}") -> dict[str, Any]:
        """Return the body for a person to read: each input by its label in `form`.

        It holds no content and no signed address.
        """
        labels = {role: form.format(given.label) for role, given in self.inputs.items()}
        return self.body(labels)

    def changed(self, before: Take) -> list[str]:
        """Return the names of fields that differ from a take's, except inputs; prompt first."""
        now, then = self.body({}), _settings_of(before)
        names = [name for name in {**now, **then} if now.get(name) != then.get(name)]
        return sorted(names, key=lambda name: name != "prompt")

    def made_from(self, before: Take) -> Request:
        """Return this request, made from the upstream takes that `before` was made from."""
        then = {role: identity.parse(str(used.get("id"))) for role, used in before.inputs.items()}
        inputs = {role: given.out_of(then.get(role)) for role, given in self.inputs.items()}
        return dataclasses.replace(self, inputs=inputs)


def _settings_of(take: Take) -> dict[str, Any]:
    """Return the recorded body without the fields that name one of its inputs."""
    labels = {str(used.get("from")) for used in take.inputs.values()}
    return {
        name: value
        for name, value in take.request.items()
        if name == "prompt" or not labels & set(_leaves(value))
    }


def _leaves(value: Any) -> Iterator[str]:
    """Yield every value of a piece of JSON that is no list and no object, as text."""
    if isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _leaves(item)
    else:
        yield str(value)


def _first_dialects() -> list[Dialect]:
    """Return the dialects of the first version, as packaged."""
    packaged = catalogs.load().dialects
    return [packaged["reference"], packaged["lists"]]

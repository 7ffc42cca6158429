"""What a scene asks of the API: the key, the request that is shown, the body that is sent."""

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
        """Everything that reaches the API beside the inputs. Whatever is not listed here is never
        sent.

        `fit` reaches it in the bytes of the pictures.
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
        """The hash of all that reaches the API: the body, with each input by its content.

        A body that one of the packaged dialects makes is hashed by its parts, as the first version
        did: the keys of takes that are paid for never change.
        """
        ids = {role: str(one.identity) for role, one in self.inputs.items()}
        parts = self.parts()
        hashed = (
            parts
            if self._is_of_the_first_version(ids)
            else {"body": self.body(ids), "fit": parts.get("fit")}
        )
        text = json.dumps([hashed, ids], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def _is_of_the_first_version(self, ids: Mapping[str, str]) -> bool:
        body = self.body(ids)
        return any(
            dataclasses.replace(self, dialect=one).body(ids) == body for one in _first_dialects()
        )

    def body(self, sent: Mapping[str, str]) -> dict[str, Any]:
        """The JSON to send. `sent` maps the role of each input to its address or base64.

        Every part is sent: the documented defaults contradict each other.
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
        """The body as a person may see it: each input by where it is from, never by content or
        signed address.
        """
        return self.body({role: form.format(one.label) for role, one in self.inputs.items()})

    def changed(self, before: Take) -> list[str]:
        """The fields of the body that differ from those of a take, inputs left aside; the prompt
        first.
        """
        now, then = self.body({}), _settings_of(before)
        names = [name for name in {**now, **then} if now.get(name) != then.get(name)]
        return sorted(names, key=lambda name: name != "prompt")

    def made_from(self, before: Take) -> Request:
        """The same request, made from the takes above that `before` was made from."""
        then = {role: identity.parse(str(one.get("id"))) for role, one in before.inputs.items()}
        inputs = {role: one.out_of(then.get(role)) for role, one in self.inputs.items()}
        return dataclasses.replace(self, inputs=inputs)


def _settings_of(take: Take) -> dict[str, Any]:
    """The body that a ledger holds, without the fields that name an input of it."""
    labels = {str(one.get("from")) for one in take.inputs.values()}
    return {
        name: value
        for name, value in take.request.items()
        if name == "prompt" or not labels & set(_leaves(value))
    }


def _leaves(value: Any) -> Iterator[str]:
    """Every text in a piece of JSON."""
    if isinstance(value, Mapping | list):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _leaves(one)
    else:
        yield str(value)


def _first_dialects() -> list[Dialect]:
    """The dialects of the first version, as they are packaged."""
    packaged = catalogs.load().dialects
    return [packaged["reference"], packaged["lists"]]

"""Name what a request is made from: an input by its content, a take by its key."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class Kind(StrEnum):
    """How an input is named. The value is the prefix of its text form."""

    BYTES = "sha256"
    ADDRESS = "url"
    FRAME = "frame"
    CLIP = "clip"
    VIDEO = "video"


def take_name(key: str, ordinal: int) -> str:
    """Return the name of a take by content: its key, and its number among takes of that key."""
    return f"{key}#{ordinal}"


@dataclass(frozen=True, slots=True)
class Identity:
    """The name of one input by content. Keys are made of its `str()`, which never changes.

    `content`: the digest, the address, or the video's id. For a frame: its position (`last:-3`).
    `take`: the name of the take that a frame or a clip comes from.
    """

    kind: Kind
    content: str = ""
    take: str = ""

    def __str__(self) -> str:
        match self.kind:
            case Kind.FRAME:
                return f"{self.kind}:{self.content}:{self.take}"
            case Kind.CLIP:
                return f"{self.kind}:{self.take}"
            case _:
                return f"{self.kind}:{self.content}"

    @property
    def recorded(self) -> str:
        """Return the form that the ledger holds.

        An address loses its query, which may be a signature.
        """
        return str(self).partition("?")[0] if self.kind is Kind.ADDRESS else str(self)

    @property
    def is_made_here(self) -> bool:
        """Is it a picture or a clip of another scene?"""
        return self.kind in (Kind.FRAME, Kind.CLIP)

    def is_of_another_take(self, other: Identity | None) -> bool:
        """Is `other` the same picture or clip, of another take?"""
        return (
            self.is_made_here
            and other is not None
            and replace(other, take=self.take) == self != other
        )


def parse(text: str) -> Identity | None:
    """Read the form that a ledger holds. Return None for any other text."""
    name, _, rest = text.partition(":")
    if name not in [kind.value for kind in Kind]:
        return None
    kind = Kind(name)
    if kind is Kind.FRAME:
        content, _, take = rest.rpartition(":")
        return Identity(kind, content, take)
    return Identity(kind, take=rest) if kind is Kind.CLIP else Identity(kind, rest)


@dataclass(frozen=True, slots=True)
class Input:
    """One picture or video of a request.

    `label` shows where it comes from. `scene` is the id of the scene that makes it.
    """

    label: str
    identity: Identity
    scene: str | None = None
    keyframe: str | None = None

    def out_of(self, before: Identity | None) -> Input:
        """Return this input with the identity `before`, if only their takes differ."""
        if before is not None and self.identity.is_of_another_take(before):
            return replace(self, identity=before)
        return self

"""YAML nodes as plain data: dict, list, str, int, float, bool and None, each with its place."""

from __future__ import annotations

import re
from typing import Any, cast

from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from storyreel.manifest.places import Source, Span, YamlPath

MAX_VALUES = 250_000
MAX_DEPTH = 40

_BOOL = {"true": True, "false": False}
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_HALF = re.compile("[\ud800-\udfff]")


class Builder:
    """Convert nodes to plain data. Record the place of each key and value."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.count = 0
        self.open: set[int] = set()

    def build(self, root: Node) -> None:
        """Fill `source.data` from the root node, or note one fault if it is too large."""
        try:
            self.source.data = self._value(root, ())
        except _TooMuch as stop:
            self.source.data = None
            self.source.faults.clear()
            self.source.error(
                stop.at, stop.message, "write the values out instead of repeating YAML anchors"
            )

    def _value(self, node: Node, path: YamlPath) -> Any:
        start: int = node.start_mark.index
        self.source.values[path] = Span(start, node.end_mark.index)
        self.count += 1
        if self.count > MAX_VALUES:
            raise _TooMuch(start, f"the file unfolds to more than {MAX_VALUES} values")
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        if id(node) in self.open:
            raise _TooMuch(start, "a YAML anchor contains itself")
        if len(path) > MAX_DEPTH:
            raise _TooMuch(start, f"values are nested more than {MAX_DEPTH} deep")
        self.open.add(id(node))
        try:
            if isinstance(node, SequenceNode):
                return [self._value(child, (*path, i)) for i, child in enumerate(node.value)]
            return self._mapping(cast(MappingNode, node), path)
        finally:
            self.open.discard(id(node))

    def _mapping(self, node: MappingNode, path: YamlPath) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key, value in node.value:
            start: int = key.start_mark.index
            if key.tag == "tag:yaml.org,2002:merge":
                merged |= self._merge(value, path)
                continue
            if not isinstance(key, ScalarNode):
                self.source.error(start, "a key must be a plain word", "use a word, then `:`")
                continue
            name = self._whole(key)
            if name in own:
                line, _ = self.source.place(self.source.keys[(*path, name)].start)
                self.source.error(
                    start, f"`{name}` is given twice (first in line {line})", "keep one of the two"
                )
                continue
            self.source.keys[(*path, name)] = Span(start, key.end_mark.index)
            own[name] = self._value(value, (*path, name))
        # a merge visits the same path
        self.source.values[path] = Span(node.start_mark.index, node.end_mark.index)
        return {**merged, **own}

    def _merge(self, value: Node, path: YamlPath) -> dict[str, Any]:
        maps = value.value if isinstance(value, SequenceNode) else [value]
        merged: dict[str, Any] = {}
        for part in reversed(maps):
            if isinstance(part, MappingNode):
                merged |= self._value(part, path)
            else:
                self.source.error(
                    part.start_mark.index,
                    "`<<` merges mappings only",
                    "name an anchor of a mapping",
                )
        return merged

    def _whole(self, node: ScalarNode) -> str:
        """Return the text of a node. Join the two halves of an emoji that JSON wrote as
        `\\ud83d\\ude00`; note half a character as a fault.
        """
        text = str(node.value)
        if not _HALF.search(text):
            return text
        text = _PAIR.sub(
            lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text
        )
        for half in dict.fromkeys(_HALF.findall(text)):
            escape = f"\\u{ord(half):04x}"
            at = self._escape(node, half)
            self.source.error(
                at,
                f"`{escape}` is half a character",
                "write both halves, as in `\\ud83d\\ude00`, or the character itself; "
                f"else delete `{escape}`",
            )
        return _HALF.sub("\ufffd", text)

    def _escape(self, node: ScalarNode, half: str) -> int:
        """Return the offset of the escape of this half that is not part of a pair."""
        start: int = node.start_mark.index
        written = re.compile(rf"\\u(?:{ord(half):04x})", re.IGNORECASE)
        pairs = re.compile(r"\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})", re.IGNORECASE)
        inside = {
            m.start() + shift for m in pairs.finditer(self.source.text, start) for shift in (0, 6)
        }
        escapes = [
            m.start() for m in written.finditer(self.source.text, start, node.end_mark.index)
        ]
        return next((at for at in escapes if at not in inside), start)

    def _scalar(self, node: ScalarNode) -> Any:
        text = self._whole(node)
        kind = str(node.tag).rpartition(":")[2]
        if kind == "null":
            return None
        if kind == "bool":
            return _BOOL.get(text.lower(), text)
        if kind == "int":
            try:
                return int(
                    text.replace("_", ""), 0 if text.lstrip("+-")[:2] in ("0x", "0o", "0b") else 10
                )
            except ValueError:
                return text
        if kind == "float":
            try:
                return float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
            except ValueError:
                return text
        if kind not in ("str", "timestamp"):
            self.source.error(
                node.start_mark.index,
                f"the YAML tag `{node.tag}` is not supported",
                "delete the tag",
            )
        return text


class _TooMuch(Exception):
    def __init__(self, at: int, message: str) -> None:
        self.at = at
        self.message = message

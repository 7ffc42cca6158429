"""The text of a storyboard as plain data, with the place of each key and value."""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from ruamel.yaml import YAML
from ruamel.yaml.cyaml import CSafeLoader
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from storyreel.errors import UsageError
from storyreel.manifest import nearby
from storyreel.manifest.faults import Fault, Severity

MAX_BYTES = 4 * 1024 * 1024
MAX_VALUES = 250_000
MAX_DEPTH = 40

Path_ = tuple[str | int, ...]

_BOOL = {"true": True, "false": False}
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_HALF = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(slots=True)
class Span:
    """A node's half-open range of character offsets in the text."""

    start: int
    end: int


@dataclass(slots=True)
class Source:
    """A parsed file: `data` is made of dict, list, str, int, float, bool and None; the spans say where each part stands."""

    name: str
    text: str
    data: Any = None
    values: dict[Path_, Span] = field(default_factory=dict)
    keys: dict[Path_, Span] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    _lines: list[int] = field(default_factory=list)

    def error(self, at: int, message: str, fix: str, severity: Severity = Severity.ERROR) -> None:
        """Add a fault at character offset `at`."""
        line, column = self.place(at)
        fault = Fault(self.name, line, column, severity, message, fix)
        if fault not in self.faults:
            self.faults.append(fault)

    def place(self, at: int) -> tuple[int, int]:
        """(line, column) of a character offset, both from 1."""
        if not self._lines:
            self._lines = [0, *(m.end() for m in re.finditer("\n", self.text))]
        row = bisect.bisect_right(self._lines, at) - 1
        return row + 1, at - self._lines[row] + 1

    def at(self, path: Path_, *, key: bool = False) -> int:
        """The offset of the value at `path`, or of its key; of the nearest part above where that does not exist."""
        while path:
            span = (self.keys if key else self.values).get(path) or self.values.get(path)
            if span:
                return span.start
            path, key = path[:-1], False
        root = self.values.get(())
        return root.start if root else 0

    def within(self, path: Path_, needle: str, occurrence: int = 0) -> int:
        """The offset of the n-th `needle` in the source text of the value at `path`, or the value's own offset."""
        span = self.values.get(path)
        if span is None:
            return self.at(path)
        found = span.start - 1
        for _ in range(occurrence + 1):
            found = self.text.find(needle, found + 1, span.end)
            if found < 0:
                return span.start
        return found


def read(path: Path, name: str) -> Source:
    """Read and parse a storyboard. Faults of the text itself are in `faults`; `data` is None where nothing could be read.

    Raises:
        UsageError: there is no such file, or it cannot be opened.
    """
    try:
        if path.is_dir():
            raise UsageError(
                f"{name} is a folder, and there is no storyboard.yaml in it", fix="name the YAML file that you mean"
            )
        size = path.stat().st_size
        raw = b"" if size > MAX_BYTES else path.read_bytes()
    except FileNotFoundError as error:
        near = path.parent if path.parent.is_dir() else Path()
        found = nearby.guess(near, path.name, (".yaml", ".yml", ".json"))
        fix = "check the path, or make a storyboard with `storyreel init`"
        if found:
            fix = f"name {near / found}"
        raise UsageError(
            f"there is no file {name}{f'; did you mean {near / found}?' if found else ''}", fix=fix
        ) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot read {name}: {reason}", fix="check the path and its permissions") from error
    if size > MAX_BYTES:
        source = Source(name, "")
        source.error(
            0,
            f"the file is {size / 1e6:.1f} MB; a storyboard may have {MAX_BYTES / 1e6:.1f} MB",
            "split it into several",
        )
        return source
    return parse(raw, name)


def parse(raw: bytes, name: str) -> Source:
    """Parse the bytes of a storyboard; see `read`."""
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        good = raw[: error.start].decode("utf-8-sig", "ignore")
        source = Source(name, good + "?")
        source.error(len(good), f"byte 0x{raw[error.start]:02x} is not UTF-8", "save the file as UTF-8")
        return source
    source = Source(name, text)
    for bad in _CONTROL.finditer(text):
        source.error(
            bad.start(), f"control character U+{ord(bad[0]):04X} is not allowed in YAML", "delete this character"
        )
        return source
    node = _compose(source)
    if node is not None:
        _Builder(source).build(node)
    return source


def _compose(source: Source) -> Node | None:
    """The node tree, or None after a fault was noted."""
    if _too_deep(source.text):
        source.error(0, f"brackets are nested more than {MAX_DEPTH} deep", "flatten the structure")
        return None
    try:
        node = _parse(source.text)
    except MarkedYAMLError as error:
        source.error(*_syntax(source, error))
        return None
    except (YAMLError, RecursionError) as error:
        source.error(0, f"not YAML: {error}", "check the file's syntax")
        return None
    if node is None or (isinstance(node, ScalarNode) and str(node.tag).endswith(":null")):
        source.error(0, "the storyboard is empty", "start from `storyreel init`, or add `version: 1` and `scenes:`")
        return None
    if not isinstance(node, MappingNode):
        source.error(node.start_mark.index, "a storyboard is a mapping of keys to values", "begin with `version: 1`")
        return None
    return node


def _parse(text: str) -> Node | None:
    """libyaml is six times as fast; what it refuses is read again by ruamel's own parser, which also takes the newer
    YAML 1.2 (an unquoted URL in a flow list, say) and has the better word on errors."""
    loader = CSafeLoader(text)
    try:
        node: Node | None = loader.get_single_node()
    except YAMLError:
        node = YAML(typ="safe", pure=True).compose(text)
    finally:
        loader.dispose()
    return node


def _too_deep(text: str) -> bool:
    depth = deepest = 0
    for bracket in re.findall(r"[\[\]{}]", text):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    # Indented levels cannot nest deeper than the widest indentation of a line.
    indent = max((len(m[0]) for m in re.finditer(r"(?m)^[ \-]+", text)), default=0)
    return deepest > MAX_DEPTH or indent > 2000


def _syntax(source: Source, error: MarkedYAMLError) -> tuple[int, str, str]:
    """(offset, message, fix) of a YAML error."""
    problem = str(error.problem or "not YAML")
    mark = error.problem_mark or error.context_mark
    lines = source.text.split("\n")
    row = min(mark.line, len(lines) - 1) if mark else 0
    at = sum(len(line) + 1 for line in lines[:row]) + min(mark.column if mark else 0, len(lines[row]))
    line = lines[row]
    indent = line[: len(line) - len(line.lstrip())]
    if "\t" in indent:
        at = at - min(mark.column, len(line)) + indent.index("\t")
        return at, "a tab is used for indentation", "indent with spaces"
    if "flow" in str(error.context) and not source.text[at:].strip():
        begin = _unclosed(source.text)
        return begin, f"this `{source.text[begin]}` is never closed", "add the closing bracket"
    if "quoted scalar" in str(error.context) and error.context_mark:
        begin = sum(len(text) + 1 for text in lines[: error.context_mark.line]) + error.context_mark.column
        return begin, "the quote that opens here is never closed", "add the closing quote"
    if "expected <block end>" in problem:
        return at, "this line is not indented like its neighbours", "give it the indentation of the lines it belongs to"
    if "undefined alias" in problem:
        return at, "YAML alias without an anchor of that name", "define it with `&name` above, or quote the text"
    if "another document" in problem:
        return at, "a second YAML document begins here", "keep one storyboard per file; delete the `---`"
    if "cannot start any token" in problem:
        character = line[mark.column : mark.column + 1] if mark else ""
        return at, f"`{character}` cannot begin a plain value in YAML", "put the text in double quotes"
    if "mapping values are not allowed" in problem:
        return at, "`:` is not allowed here", "put the text that holds `: ` in quotes, or mend the indentation"
    context = f" {error.context}" if error.context else ""
    return (
        at,
        f"YAML syntax: {problem}{context}",
        "mend the syntax here or in the line above: quotes, brackets, indentation",
    )


def _unclosed(text: str) -> int:
    """The offset of the last bracket that is never closed."""
    open_: list[int] = []
    for bracket in re.finditer(r"[\[\]{}]", text):
        if bracket[0] in "[{":
            open_.append(bracket.start())
        elif open_:
            open_.pop()
    return open_[-1] if open_ else 0


class _Builder:
    """Turns nodes into plain data and notes where each one stands."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.count = 0
        self.open: set[int] = set()

    def build(self, root: Node) -> None:
        try:
            self.source.data = self._value(root, ())
        except _TooMuch as stop:
            self.source.data = None
            self.source.faults.clear()
            self.source.error(stop.at, stop.message, "write the values out instead of repeating YAML anchors")

    def _value(self, node: Node, path: Path_) -> Any:
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

    def _mapping(self, node: MappingNode, path: Path_) -> dict[str, Any]:
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
                self.source.error(start, f"`{name}` is given twice (first in line {line})", "keep one of the two")
                continue
            self.source.keys[(*path, name)] = Span(start, key.end_mark.index)
            own[name] = self._value(value, (*path, name))
        self.source.values[path] = Span(node.start_mark.index, node.end_mark.index)  # a merge visits the same path
        return {**merged, **own}

    def _merge(self, value: Node, path: Path_) -> dict[str, Any]:
        maps = value.value if isinstance(value, SequenceNode) else [value]
        found: dict[str, Any] = {}
        for one in reversed(maps):
            if isinstance(one, MappingNode):
                found |= self._value(one, path)
            else:
                self.source.error(one.start_mark.index, "`<<` merges mappings only", "name an anchor of a mapping")
        return found

    def _whole(self, node: ScalarNode) -> str:
        """The text of a node. JSON writes an emoji as two halves (`\\ud83d\\ude00`): they are joined; one by itself is a fault."""
        text = str(node.value)
        if not _HALF.search(text):
            return text
        text = _PAIR.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)
        for half in dict.fromkeys(_HALF.findall(text)):
            escape = f"\\u{ord(half):04x}"
            at = self._escape(node, half)
            self.source.error(
                at,
                f"`{escape}` is half a character",
                f"write both halves, as in `\\ud83d\\ude00`, or the character itself; else delete `{escape}`",
            )
        return _HALF.sub("\ufffd", text)

    def _escape(self, node: ScalarNode, half: str) -> int:
        """The offset of the escape that stands for this half and is not one of a pair."""
        start: int = node.start_mark.index
        written = re.compile(rf"\\u(?:{ord(half):04x})", re.IGNORECASE)
        pairs = re.compile(r"\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})", re.IGNORECASE)
        inside = {m.start() + shift for m in pairs.finditer(self.source.text, start) for shift in (0, 6)}
        found = [m.start() for m in written.finditer(self.source.text, start, node.end_mark.index)]
        return next((at for at in found if at not in inside), start)

    def _scalar(self, node: ScalarNode) -> Any:
        text = self._whole(node)
        kind = str(node.tag).rpartition(":")[2]
        if kind == "null":
            return None
        if kind == "bool":
            return _BOOL.get(text.lower(), text)
        if kind == "int":
            try:
                return int(text.replace("_", ""), 0 if text.lstrip("+-")[:2] in ("0x", "0o", "0b") else 10)
            except ValueError:
                return text
        if kind == "float":
            try:
                return float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
            except ValueError:
                return text
        if kind not in ("str", "timestamp"):
            self.source.error(node.start_mark.index, f"the YAML tag `{node.tag}` is not supported", "delete the tag")
        return text


class _TooMuch(Exception):
    def __init__(self, at: int, message: str) -> None:
        self.at = at
        self.message = message

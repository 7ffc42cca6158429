"""The text of a storyboard as plain data, with the place of each key and value."""

from __future__ import annotations

import re
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.cyaml import CSafeLoader
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from storyreel.errors import UsageError
from storyreel.manifest import nearby, syntax
from storyreel.manifest.nodes import MAX_DEPTH, Builder
from storyreel.manifest.places import Source

MAX_BYTES = 4 * 1024 * 1024

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def read(path: Path, name: str) -> Source:
    """Read and parse a storyboard. Faults of the text are in `faults`; `data` is None if it has no
    readable value.

    Raises:
        UsageError: there is no such file, or it cannot be opened.
    """
    try:
        if path.is_dir():
            raise UsageError(
                f"{name} is a folder, and there is no storyboard.yaml in it",
                fix="name the YAML file that you mean",
            )
        size = path.stat().st_size
        raw = b"" if size > MAX_BYTES else path.read_bytes()
    except FileNotFoundError as error:
        raise _missing(path, name) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(
            f"cannot read {name}: {reason}", fix="check the path and its permissions"
        ) from error
    if size > MAX_BYTES:
        source = Source(name, "")
        source.error(
            0,
            f"the file is {size / 1e6:.1f} MB; a storyboard may have {MAX_BYTES / 1e6:.1f} MB",
            "split it into several",
        )
        return source
    return parse(raw, name)


def _missing(path: Path, name: str) -> UsageError:
    near = path.parent if path.parent.is_dir() else Path()
    guess = nearby.guess(near, path.name, (".yaml", ".yml", ".json"))
    if guess is None:
        fix = "check the path, or make a storyboard with `storyreel init`"
        return UsageError(f"there is no file {name}", fix=fix)
    return UsageError(
        f"there is no file {name}; did you mean {near / guess}?", fix=f"name {near / guess}"
    )


def parse(raw: bytes, name: str) -> Source:
    """Parse the bytes of a storyboard; see `read`."""
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        good = raw[: error.start].decode("utf-8-sig", "ignore")
        source = Source(name, good + "?")
        source.error(
            len(good), f"byte 0x{raw[error.start]:02x} is not UTF-8", "save the file as UTF-8"
        )
        return source
    source = Source(name, text)
    for bad in _CONTROL.finditer(text):
        source.error(
            bad.start(),
            f"control character U+{ord(bad[0]):04X} is not allowed in YAML",
            "delete this character",
        )
        return source
    node = _compose(source)
    if node is not None:
        Builder(source).build(node)
    return source


def _compose(source: Source) -> Node | None:
    """Return the node tree, or note a fault and return None."""
    if _too_deep(source.text):
        source.error(0, f"brackets are nested more than {MAX_DEPTH} deep", "flatten the structure")
        return None
    try:
        node = _parse(source.text)
    except MarkedYAMLError as error:
        source.error(*syntax.explain(source, error))
        return None
    except (YAMLError, RecursionError) as error:
        source.error(0, f"not YAML: {error}", "check the file's syntax")
        return None
    if node is None or (isinstance(node, ScalarNode) and str(node.tag).endswith(":null")):
        source.error(
            0,
            "the storyboard is empty",
            "start from `storyreel init`, or add `version: 1` and `scenes:`",
        )
        return None
    if not isinstance(node, MappingNode):
        source.error(
            node.start_mark.index,
            "a storyboard is a mapping of keys to values",
            "begin with `version: 1`",
        )
        return None
    return node


def _parse(text: str) -> Node | None:
    """Parse with libyaml, which is six times as fast. If it refuses, parse with ruamel's own
    parser.

    That one also reads YAML 1.2 (an unquoted URL in a flow list) and explains errors better.
    """
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

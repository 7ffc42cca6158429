"""Faults on demand: rules that say which requests fail, and how."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from storyreel.errors import UsageError

GATEWAY_PAGE = (
    "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad "
    "Gateway</h1></center></body></html>"
)
Where = Literal["create", "remix", "retrieve", "content"]


class Fault(BaseModel):
    """One rule. It applies to a request that meets all its conditions. `do` names the effect.

    Effects on the answer: `status` sends `status`, `headers` and `body`, or a body of the given
    `form`. `lose_before` drops the connection without accepting the request. `lose_after` accepts
    it, then drops the connection. `hang` accepts it, waits `seconds`, then drops the connection.
    `slow` sends the answer byte by byte over `seconds`. `garbage` sends a gateway's HTML page.

    Effects on a job: `fail` ends it as failed with `code`. `no_url` completes it without a URL.
    `stuck` never finishes it. `word` sends `word` as every status. `wrong`, `silent`, `long_sound`
    and `odd_rate` render a clip that differs from the request.

    Effects on a download: `truncate` sends half of the bytes, `empty` none. `break` drops the
    connection half way. `expire` makes the link invalid.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    on: Where = "create"
    nth: list[Annotated[int, Field(ge=1)]] | None = Field(
        None, description="which requests of this kind, from 1"
    )
    prompt: str | None = Field(
        None, description="a regular expression that the prompt must contain"
    )
    model: str | None = Field(None, description="the model that the request names")
    probability: Annotated[float, Field(ge=0, le=1)] = 1.0
    times: int | None = Field(None, description="apply at most this many times")
    do: Literal[
        "status",
        "lose_before",
        "lose_after",
        "hang",
        "slow",
        "garbage",
        "fail",
        "no_url",
        "stuck",
        "word",
        "wrong",
        "silent",
        "long_sound",
        "odd_rate",
        "truncate",
        "empty",
        "break",
        "expire",
    ]
    status: Annotated[int, Field(ge=200, le=599)] = 500
    form: Literal["json", "string", "text", "html", "empty"] = "empty"
    body: str = ""
    word: str = "succeeded"
    headers: dict[str, str] = Field(default_factory=dict)
    seconds: float = 1.0
    code: str = "generation_failed"
    message: str = "Video generation failed."

    @property
    def text(self) -> str:
        """Return the body of a `status` answer."""
        forms = {
            "json": json.dumps(
                {"error": {"message": self.message, "type": self.code, "code": self.code}}
            ),
            "string": json.dumps({"error": self.message, "status": False}),
            "text": self.message,
            "html": GATEWAY_PAGE,
            "empty": "",
        }
        return self.body or forms[self.form]


class Faults:
    """Rules with their counters. The same seed and the same requests give the same faults."""

    def __init__(self, rules: list[Fault], seed: int = 0) -> None:
        self.rules = rules
        self._random = random.Random(seed)
        self._seen: Counter[str] = Counter()
        self._struck: Counter[int] = Counter()

    def strike(self, on: Where, prompt: str, model: str = "") -> Fault | None:
        """Count this request. Return its fault, or None."""
        self._seen[on] += 1
        for i, rule in enumerate(self.rules):
            if rule.on != on or (rule.nth is not None and self._seen[on] not in rule.nth):
                continue
            if rule.prompt is not None and not re.search(rule.prompt, prompt):
                continue
            if rule.model not in (None, model):
                continue
            if rule.times is not None and self._struck[i] >= rule.times:
                continue
            if rule.probability < 1 and self._random.random() >= rule.probability:
                continue
            self._struck[i] += 1
            return rule
        return None


def load(path: Path, seed: int = 0) -> Faults:
    """Read a YAML file with a list of rules. Raises `UsageError`."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return parse(YAML(typ="safe").load(path.read_text("utf-8")), seed)
    except (OSError, YAMLError) as error:
        raise UsageError(
            f"cannot read the faults file {path}: {error}", fix="check the path and its YAML"
        ) from error


def parse(rules: Any, seed: int = 0) -> Faults:
    """Validate rules that are plain data. Raises `UsageError`."""
    try:
        return Faults([Fault.model_validate(rule) for rule in rules or []], seed)
    except (ValidationError, TypeError) as error:
        raise UsageError(f"the faults are invalid: {error}", fix="see docs/simulator.md") from error

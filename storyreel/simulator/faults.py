"""Faults on demand: which request goes wrong, and how."""

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
    """One rule. It strikes where all of its conditions hold; `do` says what happens.

    `status` answers with `status`, `headers` and `body`, or a body of the given `form`;
    `lose_before` drops the connection without taking the request; `lose_after` takes it and then
    drops the connection; `hang` waits `seconds` and then drops; `slow` answers byte by byte over
    `seconds`; `garbage` answers with a gateway's page. Of a job: `fail` ends it as failed with
    `code`; `no_url` completes without a URL; `stuck` never finishes; `word` writes `word` for every
    status; `wrong`, `silent`, `long_sound` and `odd_rate` make another clip than was asked for. Of
    its bytes: `truncate` and `empty` spoil them, `break` drops the connection half way, `expire`
    gives a dead link.
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
    times: int | None = Field(None, description="strike so often, then never again")
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
        """The body of a `status` answer."""
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
    """The rules of a file, with their counters. The same seed and requests strike the same."""

    def __init__(self, rules: list[Fault], seed: int = 0) -> None:
        self.rules = rules
        self._random = random.Random(seed)
        self._seen: Counter[str] = Counter()
        self._struck: Counter[int] = Counter()

    def strike(self, on: Where, prompt: str, model: str = "") -> Fault | None:
        """Return the fault for this request, or None. Count the request."""
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
    """Rules as plain data. Raises `UsageError`."""
    try:
        return Faults([Fault.model_validate(rule) for rule in rules or []], seed)
    except (ValidationError, TypeError) as error:
        raise UsageError(
            f"the faults are not right: {error}", fix="see docs/simulator.md"
        ) from error

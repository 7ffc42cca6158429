"""Every error Storyreel raises on purpose, in one tree; below it, the words that all rooms share.

StoryreelError
├── UsageError              wrong flags, missing files, unusable settings         exit 2
│   ├── StoryboardError     a storyboard with faults                              exit 2
│   └── CatalogError        a model catalogue with faults                         exit 2
├── WorkspaceError          folder, disk or ledger cannot be used                 exit 2
│   └── RunLocked           another run works on this storyboard                  exit 2
├── Stopped                 nothing more may be submitted in this run
│   ├── BudgetReached       the budget does not cover the next job                exit 3
│   ├── OutOfCredit         the account has no money left                         exit 3
│   ├── KeyRefused          the endpoint refuses the key                          exit 4
│   ├── EndpointRefused     something else about this address refuses us          exit 4
│   ├── FieldsIgnored       the endpoint leaves out what it was asked for         exit 4
│   ├── StillLimited        too many requests, for minutes, and none is ours      exit 4
│   └── Unreachable         the endpoint does not answer                          exit 4
├── ApiError                one request failed; the subclasses say what it means
│   ├── NotSent             provably never reached the API: safe to send again
│   ├── AnswerLost          it left, and what came proves nothing: a job may exist
│   ├── RateLimited         too many at once: wait, then send the same request
│   └── RequestRefused      read and refused: the same request will fail again
│       ├── Moderated       for its words or pictures
│       └── NotFound        the API's own word that it does not know a job
├── MadeElsewhere           a job of another endpoint, which this one cannot know
├── DeadlinePassed          a job is not final after all that time; it stays in flight
├── DownloadError           the clip's bytes did not arrive
│   ├── BrokenOff           the connection ended before the bytes did
│   ├── LinkExpired         the result URL is dead; ask the job for a fresh one
│   └── NoLink              the job is completed, and its answer has no link
└── MediaError              a file is not the picture or the video it should be

The words: `Status` (how a take ended), `ErrorKind` (why it failed), `Stage` (what it is doing now).
Each is a table with one line a word. Add a word there, and mypy names every place that must know
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from storyreel.manifest.faults import Fault


class StoryreelError(Exception):
    """An error a person can act on: what happened, then `fix`, the exact edit or command."""

    exit_code = 1

    def __init__(self, message: str, *, fix: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return self.message

    @property
    def with_fix(self) -> str:
        """Return the message with its Fix, for a ledger row, which has one text."""
        return f"{self.message} (Fix: {self.fix})" if self.fix else self.message


class UsageError(StoryreelError):
    """Flags, files or settings that cannot be used."""

    exit_code = 2


class StoryboardError(UsageError):
    """A storyboard with faults; `faults` holds them all, in file order."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(f"{len(faults)} fault{'s' * (len(faults) != 1)} in the storyboard")
        self.faults = faults


class CatalogError(UsageError):
    """A catalogue file that does not fit the catalogue's own schema."""


class WorkspaceError(StoryreelError):
    """A folder, a disk or a ledger that cannot be used."""

    exit_code = 2


class RunLocked(WorkspaceError):
    """Another process holds this workspace."""


class Stopped(StoryreelError):
    """No further job may be submitted in this run; what is in flight is still collected."""


class BudgetReached(Stopped):
    """The next take would cost more than a budget allows."""

    exit_code = 3


class ApiError(StoryreelError):
    """A request that did not succeed.

    `status` is the HTTP status (None: no answer), `code` the API's own word for it where the body
    names one.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        fix: str | None = None,
    ) -> None:
        super().__init__(message, fix=fix)
        self.status = status
        self.code = code


class OutOfCredit(ApiError, Stopped):
    """The account has no money left."""

    exit_code = 3


class KeyRefused(ApiError, Stopped):
    """The endpoint refuses the key."""

    exit_code = 4


class EndpointRefused(ApiError, Stopped):
    """Not the key: no API at this address, or a firewall, a proxy or a rule in front of it."""

    exit_code = 4


class FieldsIgnored(Stopped):
    """The first clip of a model differs from its request: the endpoint bills a field and ignores
    it.
    """

    exit_code = 4


class StillLimited(ApiError, Stopped):
    """The API answers "too many requests" for minutes, while no job of this account is running."""

    exit_code = 4


class Unreachable(ApiError, Stopped):
    """The endpoint does not answer."""

    exit_code = 4


class NotSent(ApiError):
    """The request never reached the API: refused, DNS, TLS, pool time-out, a gateway without
    upstream.
    """


class AnswerLost(ApiError):
    """The request left, and what came proves nothing.

    After a POST a job may exist and be billed.
    """


class RateLimited(ApiError):
    """Too many at once. `retry_after_s` is the server's header, None where it sent none."""

    def __init__(
        self,
        message: str,
        *,
        retry_after_s: float | None = None,
        status: int = 429,
        code: str | None = None,
    ) -> None:
        super().__init__(message, status=status, code=code)
        self.retry_after_s = retry_after_s


class RequestRefused(ApiError):
    """The API read the request and said no; nothing was made, nothing is billed."""


class Moderated(RequestRefused):
    """Refused for its words or pictures: the same will be refused again."""


class NotFound(RequestRefused):
    """The API says itself that it does not know this job (or not yet: right after a create).

    Not any 404.
    """


class MadeElsewhere(StoryreelError):
    """A job that was made at another endpoint: this one is not asked about it."""


class DeadlinePassed(StoryreelError):
    """The job is still running after its deadline; it stays adopted, and a later run asks again."""


class DownloadError(StoryreelError):
    """The bytes did not arrive whole. Nothing but a `.part` file is left behind.

    `is_final`: asking for the same address again changes nothing.
    """

    def __init__(self, message: str, *, fix: str | None = None, is_final: bool = False) -> None:
        super().__init__(message, fix=fix)
        self.is_final = is_final


class BrokenOff(DownloadError):
    """The connection ended before the bytes did; the next try continues the part."""


class LinkExpired(DownloadError):
    """The result URL answers 403, 404 or 410."""


class NoLink(DownloadError):
    """The job is completed, and its answer has no link to the clip, or several."""


class MediaError(StoryreelError):
    """A file that is not what it should be: truncated, not a video, the wrong size."""


class Tone(StrEnum):
    """The colour of a word: a variable of the page's style sheet, and rich's `style` for a
    terminal.
    """

    style: str

    def __new__(cls, word: str, style: str) -> Tone:
        """Take one line of the table."""
        made = str.__new__(cls, word)
        made._value_, made.style = word, style
        return made

    GOOD = "good", "green"
    BAD = "bad", "bold red"
    HOLD = "hold", "yellow"
    IDLE = "idle", "dim"
    BUSY = "bar", "cyan"
    FETCH = "fetch", "blue"


class Status(StrEnum):
    """How a take ended, in the order in which counts are shown.

    `rank`: of a scene with several takes, the take with the lowest rank speaks for the scene.
    """

    rank: int
    tone: Tone

    def __new__(cls, word: str, rank: int, tone: Tone) -> Status:
        """Take one line of the table."""
        made = str.__new__(cls, word)
        made._value_, made.rank, made.tone = word, rank, tone
        return made

    COMPLETED = "completed", 4, Tone.GOOD
    REUSED = "reused", 5, Tone.GOOD
    FAILED = "failed", 1, Tone.BAD
    BLOCKED = "blocked", 2, Tone.IDLE
    HELD = "held", 0, Tone.HOLD
    SKIPPED = "skipped", 3, Tone.IDLE

    @property
    def is_good(self) -> bool:
        """Is there a clip to use?"""
        return self in (Status.COMPLETED, Status.REUSED)

    @property
    def needs_a_person(self) -> bool:
        """Did the take come to nothing, for a reason that a person should read?"""
        return self in (Status.FAILED, Status.HELD, Status.BLOCKED)


class Stage(StrEnum):
    """What a take, or the film, is doing now. Another stage or a `Status` follows."""

    tone: Tone

    def __new__(cls, word: str, tone: Tone) -> Stage:
        """Take one line of the table."""
        made = str.__new__(cls, word)
        made._value_, made.tone = word, tone
        return made

    QUEUED = "queued", Tone.IDLE
    WAITING = "waiting", Tone.IDLE
    SUBMITTING = "submitting", Tone.BUSY
    GENERATING = "generating", Tone.BUSY
    COLLECTING = "collecting", Tone.FETCH
    CUTTING = "cutting", Tone.BUSY


class ErrorKind(StrEnum):
    """Why a take has no clip. `advice` is what usually helps, where the error has no `fix`."""

    advice: str

    def __new__(cls, word: str, advice: str) -> ErrorKind:
        """Take one line of the table."""
        made = str.__new__(cls, word)
        made._value_, made.advice = word, advice
        return made

    MODERATION = (
        "moderation",
        "change the prompt or the picture, or add a `fallback_prompt`; then run again",
    )
    INVALID = "invalid", "correct what the API refuses in this scene, then run again"
    QUOTA = "quota", "top up the account, then run again"
    AUTH = "auth", "check OPENAI_API_KEY, then run again"
    RATE = "rate", "run again"
    TRANSIENT = "transient", "run again; `storyreel plan` says what that costs"
    TIMEOUT = "timeout", "run again: its job is taken up, not paid for again"
    EXPIRED = "expired", "make it again with `storyreel run --force`, which pays for it once more"
    AMBIGUOUS = "ambiguous", "settle it with `storyreel resolve`"
    MEDIA = "media", "run again"
    UPSTREAM = "upstream", "correct the scene it needs, then run again"

    @classmethod
    def read(cls, word: str | None) -> ErrorKind | None:
        """Return the kind that a ledger names; an unknown word is `transient`."""
        if not word:
            return None
        return next((kind for kind in cls if kind == word), cls.TRANSIENT)

"""Every error that Storyreel raises on purpose, in one tree, and the words that all rooms share.

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
│   ├── FieldsIgnored       the endpoint bills a field, and ignores it            exit 4
│   ├── StillLimited        "too many requests" for minutes, with no job of ours  exit 4
│   └── Unreachable         the endpoint does not answer                          exit 4
├── ApiError                one request failed; the subclasses say what it means
│   ├── NotSent             the request never reached the API: safe to send again
│   ├── AnswerLost          the request was sent, its answer was lost: a job may exist
│   ├── RateLimited         too many at once: wait, then send the same request
│   └── RequestRefused      the API refused it: the same request will fail again
│       ├── Moderated       it refused the words or the pictures
│       └── NotFound        it says that it does not know the job
├── MadeElsewhere           the job was made at another endpoint
├── DeadlinePassed          the job is not final at its deadline; it stays in flight
├── DownloadError           the clip's bytes did not arrive
│   ├── BrokenOff           the connection ended too early
│   ├── LinkExpired         the result URL is dead; ask the job for a fresh one
│   └── NoLink              the job is completed, and its answer has no link
└── MediaError              a file is not the expected picture or video

The words: `Status` (how a take ended), `ErrorKind` (why it failed), `Stage` (what it is doing now).
Each is a table with one line for each word. Add a word there, and mypy names every place that must
handle it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from storyreel.manifest.faults import Fault


class StoryreelError(Exception):
    """An error that a person can act on: what happened, then `fix`, the exact edit or command."""

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
    """Flags, files or settings cannot be used."""

    exit_code = 2


class StoryboardError(UsageError):
    """A storyboard has faults; `faults` holds all of them, in file order."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(f"{len(faults)} fault{'s' * (len(faults) != 1)} in the storyboard")
        self.faults = faults


class CatalogError(UsageError):
    """A catalogue file does not match its schema."""


class WorkspaceError(StoryreelError):
    """A folder, a disk or a ledger cannot be used."""

    exit_code = 2


class RunLocked(WorkspaceError):
    """Another process holds this workspace."""


class Stopped(StoryreelError):
    """No further job may be submitted in this run; what is in flight is still collected."""


class BudgetReached(Stopped):
    """The next take would cost more than a budget allows."""

    exit_code = 3


class ApiError(StoryreelError):
    """A request failed.

    `status`: the HTTP status; None without an answer. `code`: the API's error code, if the body has
    one.
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
    """The endpoint refuses us, for another reason than the key.

    There is no API at this address, or a firewall, a proxy or a rule is in front of it.
    """

    exit_code = 4


class FieldsIgnored(Stopped):
    """The first clip of a model differs from its request.

    The endpoint bills a field, and ignores it.
    """

    exit_code = 4


class StillLimited(ApiError, Stopped):
    """The API answers "too many requests" for minutes, and no job of this account is running."""

    exit_code = 4


class Unreachable(ApiError, Stopped):
    """The endpoint does not answer."""

    exit_code = 4


class NotSent(ApiError):
    """The request never reached the API, so it is safe to send again.

    The cause is a refused connection, DNS, TLS, a full pool, or a gateway without upstream.
    """


class AnswerLost(ApiError):
    """The request was sent, and its answer was lost or proves nothing.

    After a POST, a job may exist and be billed.
    """


class RateLimited(ApiError):
    """Too many requests at once. `retry_after_s`: from the server's header; None without one."""

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
    """The API read the request and refused it. It made nothing, and bills nothing."""


class Moderated(RequestRefused):
    """The API refused the words or the pictures. It will refuse the same request again."""


class NotFound(RequestRefused):
    """The API says that it does not know this job, or not yet, right after a create.

    A 404 of a proxy or a gateway is another error.
    """


class MadeElsewhere(StoryreelError):
    """The job was made at another endpoint. Send this one no request about it."""


class DeadlinePassed(StoryreelError):
    """The job is still running after its deadline. It stays in flight; a later run polls again."""


class DownloadError(StoryreelError):
    """The clip's bytes did not all arrive. Only a `.part` file is left behind.

    `is_final`: another request to the same address would fail, too.
    """

    def __init__(self, message: str, *, fix: str | None = None, is_final: bool = False) -> None:
        super().__init__(message, fix=fix)
        self.is_final = is_final


class BrokenOff(DownloadError):
    """The connection ended too early. The next try continues the `.part` file."""


class LinkExpired(DownloadError):
    """The result URL answers 403, 404 or 410."""


class NoLink(DownloadError):
    """The job is completed. Its answer has no link to the clip, or several."""


class MediaError(StoryreelError):
    """A file is not the expected picture or video: truncated, another format, the wrong size."""


class Tone(StrEnum):
    """The colour of a word.

    The value is a variable of the page's style sheet. `style` is rich's style for a terminal.
    """

    style: str

    def __new__(cls, word: str, style: str) -> Tone:
        """Make the member from one line of the table."""
        member = str.__new__(cls, word)
        member._value_, member.style = word, style
        return member

    GOOD = "good", "green"
    BAD = "bad", "bold red"
    HOLD = "hold", "yellow"
    IDLE = "idle", "dim"
    BUSY = "bar", "cyan"
    FETCH = "fetch", "blue"


class Status(StrEnum):
    """How a take ended, in the order in which counts are shown.

    `rank`: a scene with several takes shows the status of the take with the lowest rank.
    """

    rank: int
    tone: Tone

    def __new__(cls, word: str, rank: int, tone: Tone) -> Status:
        """Make the member from one line of the table."""
        member = str.__new__(cls, word)
        member._value_, member.rank, member.tone = word, rank, tone
        return member

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
        """Is there no clip, for a reason that a person should read?"""
        return self in (Status.FAILED, Status.HELD, Status.BLOCKED)


class Stage(StrEnum):
    """The current step of a take or of the film. Another stage or a `Status` follows."""

    tone: Tone

    def __new__(cls, word: str, tone: Tone) -> Stage:
        """Make the member from one line of the table."""
        member = str.__new__(cls, word)
        member._value_, member.tone = word, tone
        return member

    QUEUED = "queued", Tone.IDLE
    WAITING = "waiting", Tone.IDLE
    SUBMITTING = "submitting", Tone.BUSY
    GENERATING = "generating", Tone.BUSY
    COLLECTING = "collecting", Tone.FETCH
    CUTTING = "cutting", Tone.BUSY


class ErrorKind(StrEnum):
    """Why a take has no clip. `advice`: what to do where the error has no `fix`."""

    advice: str

    def __new__(cls, word: str, advice: str) -> ErrorKind:
        """Make the member from one line of the table."""
        member = str.__new__(cls, word)
        member._value_, member.advice = word, advice
        return member

    MODERATION = (
        "moderation",
        "change the prompt or the picture, or add a `fallback_prompt`; then run again",
    )
    INVALID = "invalid", "correct what the API refuses in this scene, then run again"
    QUOTA = "quota", "top up the account, then run again"
    AUTH = "auth", "check OPENAI_API_KEY, then run again"
    RATE = "rate", "run again"
    TRANSIENT = "transient", "run again; `storyreel plan` says what that costs"
    TIMEOUT = "timeout", "run again: its job is resumed, not paid for again"
    EXPIRED = "expired", "make it again with `storyreel run --force`, which pays for it once more"
    AMBIGUOUS = "ambiguous", "settle it with `storyreel resolve`"
    MEDIA = "media", "run again"
    UPSTREAM = "upstream", "correct the scene it needs, then run again"

    @classmethod
    def read(cls, word: str | None) -> ErrorKind | None:
        """Return the kind that a ledger names. An unknown word becomes `transient`."""
        if not word:
            return None
        return next((kind for kind in cls if kind == word), cls.TRANSIENT)

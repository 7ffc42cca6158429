"""Every error Storyreel raises on purpose, in one tree.

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
│   └── Unreachable         the endpoint does not answer                          exit 4
├── ApiError                one request failed; the subclasses say what it means
│   ├── NotSent             provably never left this machine: safe to send again
│   ├── AnswerLost          it left, no usable answer came: a job may exist
│   ├── RateLimited         429: wait, then send the same request
│   ├── RequestRefused      400, 404, 422 and their like: the same request will fail again
│   ├── NotFound            404 on a job
│   └── ServerFault         a 5xx that is an answer
├── DownloadError           the clip's bytes did not arrive
│   └── LinkExpired         the result URL is dead; ask the job for a fresh one
└── MediaError              a file is not the picture or the video it should be
"""

from __future__ import annotations

from collections.abc import Sequence
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


class UsageError(StoryreelError):
    exit_code = 2


class StoryboardError(UsageError):
    """A storyboard with faults; `faults` holds them all, in file order."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(f"{len(faults)} fault{'s' * (len(faults) != 1)} in the storyboard")
        self.faults = faults


class CatalogError(UsageError):
    """A catalogue file that does not fit the catalogue's own schema."""


class WorkspaceError(StoryreelError):
    exit_code = 2


class RunLocked(WorkspaceError):
    """Another process holds this workspace."""


class Stopped(StoryreelError):
    """No further job may be submitted in this run; what is in flight is still collected."""


class BudgetReached(Stopped):
    exit_code = 3


class ApiError(StoryreelError):
    """A request that did not succeed.

    `status` is the HTTP status (None: no answer), `code` the API's own word for it where the body names one.
    """

    def __init__(
        self, message: str, *, status: int | None = None, code: str | None = None, fix: str | None = None
    ) -> None:
        super().__init__(message, fix=fix)
        self.status = status
        self.code = code


class OutOfCredit(ApiError, Stopped):
    exit_code = 3


class KeyRefused(ApiError, Stopped):
    exit_code = 4


class Unreachable(ApiError, Stopped):
    exit_code = 4


class NotSent(ApiError):
    """The request never left: connection refused, DNS, TLS or pool time-out."""


class AnswerLost(ApiError):
    """The request left and no usable answer came. After a POST a job may exist and be billed."""


class RateLimited(ApiError):
    """429. `retry_after_s` is the server's wish, None where it named none."""

    def __init__(self, message: str, *, retry_after_s: float | None = None, code: str | None = None) -> None:
        super().__init__(message, status=429, code=code)
        self.retry_after_s = retry_after_s


class RequestRefused(ApiError):
    """The API read the request and said no; nothing was made, nothing is billed."""


class NotFound(RequestRefused):
    """The API does not know this job (or not yet: right after a create)."""


class ServerFault(ApiError):
    """A 5xx with a body of the API's own."""


class DownloadError(StoryreelError):
    """The bytes did not arrive whole. Nothing but a `.part` file is left behind."""


class BrokenOff(DownloadError):
    """The connection ended before the bytes did; what is there may be gone on with."""


class LinkExpired(DownloadError):
    """The result URL answers 403, 404 or 410."""


class MediaError(StoryreelError):
    """A file that is not what it should be: truncated, not a video, the wrong size."""

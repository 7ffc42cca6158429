"""Answers about a job, in the words of a profile."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from storyreel.simulator import describe
from storyreel.simulator.faults import Fault
from storyreel.simulator.gateways import Gateway, Reply
from storyreel.simulator.jobs import Jobs, SimJob
from storyreel.simulator.profiles import Profile
from storyreel.simulator.spoilt import byte_by_byte


class Answers:
    """Describe the jobs of one simulator."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._requests: Counter[tuple[str, str]] = Counter()  # by kind of request and job id

    def early(self, kind: str, job: SimJob, replies: tuple[Reply, ...]) -> Response | None:
        """Return the reply to one of the first requests of this kind for a job, None once they
        are used up.
        """
        at = self._requests[kind, job.id]
        self._requests[kind, job.id] += 1
        if at >= len(replies):
            return None
        return JSONResponse(replies[at].body, replies[at].status or 200)

    def describe(
        self, profile: Profile, request: Request, job: SimJob, *, new: bool = False
    ) -> Any:
        """Return the body that describes a job. `new`: in the answer to its POST."""
        base = str(request.base_url)
        if profile.gateway:
            return describe.gateway(profile.gateway, self._jobs, job, base, new=new)
        if profile.is_lax:
            return describe.lax(self._jobs, job)
        return describe.strict(self._jobs, job, base, new=new)

    def answer(
        self,
        profile: Profile,
        request: Request,
        job: SimJob,
        fault: Fault | None,
        *,
        new: bool = False,
    ) -> Response:
        """Answer with the body of a job, changed by the faults `word` and `slow`."""
        body = self.describe(profile, request, job, new=new)
        if fault and fault.do == "word" and isinstance(body, dict):
            body["status"] = fault.word
        if fault and fault.do == "slow":
            return byte_by_byte(json.dumps(body).encode(), fault.seconds, "application/json")
        return JSONResponse(body, self._status(profile.gateway, job, new=new))

    def _status(self, gateway: Gateway | None, job: SimJob, *, new: bool) -> int:
        """Return the HTTP status of an answer about a job."""
        if gateway is None:
            return 200
        if new:
            return gateway.created_status
        has_failed = self._jobs.status(job) == "failed"
        return gateway.failed_status if has_failed else 200

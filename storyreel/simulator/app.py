"""The stand-in API: an ASGI app that keeps the rules of its profile and renders real clips."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from storyreel.simulator import describe, offered, profiles, rules
from storyreel.simulator.answers import Answers
from storyreel.simulator.faults import Fault, Faults, Where, parse
from storyreel.simulator.forms import read_body
from storyreel.simulator.jobs import Jobs, SimJob
from storyreel.simulator.limits import Limits
from storyreel.simulator.material import Material
from storyreel.simulator.openapi import document
from storyreel.simulator.rules import Refused, VideoRequest
from storyreel.simulator.spoilt import dropped, spoilt, spoilt_file

Handler = Callable[[Request], Awaitable[Response]]


class Simulator:
    """Serve the routes of one profile.

    `truth` records requests, for tests: accepted, refused, retrieved, downloaded, leaked keys.
    """

    def __init__(
        self,
        jobs: Jobs,
        faults: Faults | None = None,
        *,
        profile: str = "strict",
        max_running: int | None = None,
        per_minute: int | None = None,
        credit: Decimal | None = None,
        with_cards: bool = False,
    ) -> None:
        self.jobs = jobs
        self.material = Material(jobs, with_cards=with_cards)
        self.faults = faults or Faults([])
        self.profile = profiles.find(profile)
        self.gateway = gateway = self.profile.gateway
        jobs.number_ids = gateway is not None and gateway.ids == "number"
        jobs.at_once = gateway is not None and gateway.at_once
        self._answers = Answers(jobs)
        self.limits = Limits(max_running, per_minute, credit)
        self.truth: dict[str, Any] = {
            "accepted": [],
            "refused": [],
            "retrieved": 0,
            "downloads": 0,
            "keys": [],
        }

    def app(self) -> Starlette:
        """Return the ASGI application."""
        routes = [
            Route("/v1/videos", self._api(self._create), methods=["POST"]),
            Route("/v1/videos/{id}", self._api(self._retrieve), methods=["GET"]),
            Route("/v1/videos/{id}/remix", self._api(self._remix), methods=["POST"]),
            Route("/files/{id}.mp4", self._api(self._file), methods=["GET"]),
            Route("/simulator/truth", self._truth, methods=["GET"]),
            Route("/simulator/faults", self._set_faults, methods=["PUT"]),
        ]
        if self.profile.has_content:
            routes.append(
                Route("/v1/videos/{id}/content", self._api(self._content), methods=["GET"])
            )
        if self.gateway is None:
            routes.append(Route("/openapi.json", self._document, methods=["GET"]))
        if self.gateway is None and self.profile.is_lax:
            routes += [
                Route("/v1/videos", self._api(self._list), methods=["GET"]),
                Route("/v1/videos/{id}", self._api(self._delete), methods=["DELETE"]),
            ]
        return Starlette(routes=routes)

    def _api(self, handler: Handler) -> Handler:
        """Turn a `Refused` of a handler into the profile's error body."""

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except Refused as error:
                return describe.refusal(self.gateway, error)

        return handle

    # ---- the API

    async def _create(self, request: Request) -> Response:
        return await self._paid(request, "create", self._accept_create)

    async def _remix(self, request: Request) -> Response:
        return await self._paid(request, "remix", self._accept_remix)

    async def _paid(self, request: Request, kind: Where, accept: Any) -> Response:
        try:
            self._authorised(request)
            body = await read_body(request, with_forms=self.profile.is_lax)
            named = body if isinstance(body, dict) else {}
            prompt, model = str(named.get("prompt", "")), str(named.get("model", ""))
            fault = self.faults.strike(kind, prompt, model)
            if fault and fault.do in ("status", "lose_before", "garbage"):
                self.truth["refused"].append({"why": f"fault {fault.do}"})
                return spoilt(fault)
            self.limits.check(self.jobs)
            job: SimJob = await accept(request, body, fault)
        except Refused as error:
            self.truth["refused"].append({"why": error.message})
            raise
        accepted = {
            "id": job.id,
            "account": job.account,
            "prompt": job.prompt,
            "model": job.model,
            "kind": kind,
        }
        self.truth["accepted"].append(accepted)
        if fault and fault.do == "hang":
            await asyncio.sleep(fault.seconds)
        if fault and fault.do in ("lose_after", "hang"):
            return dropped()
        return self._answers.answer(self.profile, request, job, fault, new=True)

    async def _accept_create(self, request: Request, body: Any, fault: Fault | None) -> SimJob:
        wanted = self._without_ignored(
            offered.read(body, self.jobs.catalog, lax=self.profile.is_lax)
        )
        stored = [
            (image.role, await self.material.picture(image, wanted)) for image in wanted.images
        ]
        stills = {role: name for role, name in stored if role != "reference"}
        if wanted.video_url:
            stills |= await self.material.video(wanted.video_url, wanted.size)
        self._moderate(wanted.prompt)
        return self.jobs.accept(
            model=wanted.model,
            prompt=wanted.prompt,
            seconds=wanted.seconds,
            size=wanted.size,
            mode=wanted.mode,
            stills=stills,
            account=_account(request),
            **self._outcome(wanted.model, wanted.seconds, wanted.mode, wanted.prompt, fault),
        )

    def _without_ignored(self, wanted: VideoRequest) -> VideoRequest:
        """Return the request without the fields that this gateway ignores."""
        ignores = self.gateway.ignores if self.gateway else ()
        model = self.jobs.catalog.models[wanted.model]
        if "seconds" in ignores:
            wanted = replace(wanted, seconds=min(model.seconds))
        if "size" in ignores:
            wanted = replace(wanted, size=model.defaults.size)
        return replace(
            wanted, images=tuple(image for image in wanted.images if image.role not in ignores)
        )

    def _moderate(self, prompt: str) -> None:
        """Raise `Refused` for a moderated prompt where the gateway refuses it in its first answer.

        Elsewhere the job is accepted and fails.
        """
        if self.gateway and self.gateway.moderated and describe.MODERATED in prompt:
            raise Refused(describe.BLOCKED, code=describe.BLOCKED_CODE)

    async def _accept_remix(self, request: Request, body: Any, fault: Fault | None) -> SimJob:
        prompt = rules.read_prompt(body)
        if not self.profile.is_lax and set(body) != {"prompt"}:
            raise Refused("a remix takes prompt only")
        source = self._job(request)
        if self.jobs.status(source) != "completed":
            raise Refused("the source video is not completed")
        return self.jobs.accept(
            model=source.model,
            prompt=prompt,
            seconds=source.seconds,
            size=source.size,
            mode=source.mode,
            remixed_from=source.id,
            account=_account(request),
            **self._outcome(source.model, source.seconds, source.mode, prompt, fault),
        )

    async def _retrieve(self, request: Request) -> Response:
        self._authorised(request)
        job = self._job(request)
        self.truth["retrieved"] += 1
        fault = self.faults.strike("retrieve", job.prompt, job.model)
        if fault and fault.do in ("status", "lose_before", "lose_after", "garbage"):
            return spoilt(fault)
        if self.gateway and (
            early := self._answers.early("retrieve", job, self.gateway.first_asked)
        ):
            return early
        if self.jobs.at_once:
            raise Refused("no such route", status=404, code="not_found")
        return self._answers.answer(self.profile, request, job, fault)

    async def _list(self, request: Request) -> Response:
        self._authorised(request)
        query = request.query_params
        limit = query.get("limit", "20")
        if not limit.isascii() or not limit.isdigit() or not 0 <= int(limit[:6]) <= 100:
            raise Refused("limit is a number from 0 to 100")
        if query.get("order", "desc") not in ("asc", "desc"):
            raise Refused("order is asc or desc")
        jobs = list(self.jobs.jobs.values())
        if query.get("order", "desc") == "desc":
            jobs.reverse()
        if "after" in query:
            ids = [job.id for job in jobs]
            if query["after"] not in ids:
                raise Refused("after names no video", status=404, code="not_found")
            jobs = jobs[ids.index(query["after"]) + 1 :]
        page = [self._answers.describe(self.profile, request, job) for job in jobs[: int(limit)]]
        body = {"object": "list", "data": page, "has_more": len(jobs) > len(page)}
        body |= {
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
        }
        return JSONResponse(body)

    async def _delete(self, request: Request) -> Response:
        self._authorised(request)
        job = self._job(request)
        if self.jobs.status(job) not in ("completed", "failed"):
            raise Refused("only a finished video can be deleted", status=409, code="conflict")
        self.jobs.delete(job)
        return JSONResponse({"id": job.id, "object": "video.deleted", "deleted": True})

    async def _content(self, request: Request) -> Response:
        self._authorised(request)
        job = self._job(request)
        if self.jobs.status(job) != "completed":
            raise Refused("the video is not completed", status=404, code="not_found")
        if self.gateway and (
            early := self._answers.early("content", job, self.gateway.early_content)
        ):
            return early
        variant = request.query_params.get("variant", "video")
        if variant == "video":
            return await self._bytes(job)
        if variant not in ("thumbnail", "spritesheet"):
            raise Refused("variant is video, thumbnail or spritesheet")
        return Response(
            await asyncio.to_thread(describe.picture, await self.jobs.clip(job), variant),
            media_type="image/jpeg",
        )

    async def _file(self, request: Request) -> Response:
        job = self._job(request)
        expires = request.query_params.get("e", "0")
        if not expires.isascii() or not expires.isdigit() or int(expires[:12]) < self.jobs.now():
            raise Refused("expired token", status=403, code="expired")
        if request.query_params.get("token") != describe.token(job.id, expires):
            raise Refused("bad token", status=403, code="bad_token")
        if "authorization" in request.headers:
            self.truth["keys"].append("the key was sent to a result URL")
        return await self._bytes(job)

    async def _bytes(self, job: SimJob) -> Response:
        """Send the clip. Honour a Range header unless a fault strikes."""
        self.truth["downloads"] += 1
        fault = self.faults.strike("content", job.prompt, job.model)
        if fault is None:
            return FileResponse(await self.jobs.clip(job), media_type="video/mp4")
        if fault.do in ("status", "lose_before", "lose_after", "garbage"):
            return spoilt(fault)
        return await spoilt_file(fault, await self.jobs.clip(job))

    # ---- for tests

    async def _document(self, request: Request) -> Response:
        return JSONResponse(document(self.profile.name))

    async def _truth(self, request: Request) -> Response:
        body = {
            "jobs": len(self.jobs.jobs),
            "running": self.jobs.running(),
            "billed": str(self.jobs.billed),
        }
        return JSONResponse(self.truth | body)

    async def _set_faults(self, request: Request) -> Response:
        self.faults = parse(await request.json())
        return JSONResponse({"rules": len(self.faults.rules)})

    # ---- inside

    def _authorised(self, request: Request) -> None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not key.strip():
            raise Refused("You must provide an API key.", status=401, code="invalid_api_key")

    def _job(self, request: Request) -> SimJob:
        job = self.jobs.jobs.get(request.path_params["id"])
        if job is None:
            raise Refused("video not found", status=404, code="not_found")
        return job

    def _outcome(
        self, model: str, seconds: int, mode: str | None, prompt: str, fault: Fault | None
    ) -> dict[str, Any]:
        """Return how the job ends, which faults it carries and what it costs."""
        fails = None
        if describe.MODERATED in prompt:
            fails = {"code": describe.BLOCKED_CODE, "message": describe.BLOCKED}
        elif fault and fault.do == "fail":
            fails = {"code": fault.code, "message": fault.message}
        price = self.jobs.catalog.models[model].price(seconds, mode)
        return {
            "fails": fails,
            "flags": [fault.do] if fault and not fails else [],
            "billed": str(price.high) if price and not fails else None,
        }


def account_of(key: str) -> str:
    """Return the name that `truth` gives to the account of a key. It does not reveal the key."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def _account(request: Request) -> str:
    return account_of(request.headers.get("authorization", "").partition(" ")[2].strip())

"""The stand-in API: an ASGI app that speaks the API's document to the letter, or OpenAI's own
shape, and renders real clips.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from storyreel.simulator import describe, offered, profiles, rules
from storyreel.simulator.faults import Fault, Faults, Where, parse
from storyreel.simulator.forms import read_form
from storyreel.simulator.gateways import Said
from storyreel.simulator.jobs import Jobs, SimJob
from storyreel.simulator.limits import Limits
from storyreel.simulator.material import Material
from storyreel.simulator.openapi import document
from storyreel.simulator.rules import Refused, Wanted
from storyreel.simulator.spoilt import byte_by_byte, dropped, spoilt, spoilt_file

MAX_BODY_BYTES = 64 * 2**20
Handler = Callable[[Request], Awaitable[Response]]


class Simulator:
    """Routes and what they share.

    `truth` counts what was accepted, refused and billed, for tests to look at.
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
        self._answered: Counter[tuple[str, str]] = (
            Counter()
        )  # how often, by what was asked for and the job
        self.limits = Limits(max_running, per_minute, credit)
        self.truth: dict[str, Any] = {
            "accepted": [],
            "refused": [],
            "retrieved": 0,
            "downloads": 0,
            "keys": [],
        }

    def app(self) -> Starlette:
        """The ASGI application."""
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
        """Answer what a handler refuses in the API's own kind of error body."""

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
            body = await self._body(request)
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
        return await self._answer(request, job, fault, new=True)

    async def _accept_create(self, request: Request, body: Any, fault: Fault | None) -> SimJob:
        wanted = self._heeded(offered.read(body, self.jobs.catalog, lax=self.profile.is_lax))
        kept = [(given.role, await self.material.picture(given, wanted)) for given in wanted.images]
        stills = {role: name for role, name in kept if role != "reference"}
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
            **self._fate(wanted.model, wanted.seconds, wanted.mode, wanted.prompt, fault),
        )

    def _heeded(self, wanted: Wanted) -> Wanted:
        """What of a request is not ignored by this kind of server."""
        ignores = self.gateway.ignores if self.gateway else ()
        model = self.jobs.catalog.models[wanted.model]
        if "seconds" in ignores:
            wanted = replace(wanted, seconds=min(model.seconds))
        if "size" in ignores:
            wanted = replace(wanted, size=model.defaults.size)
        return replace(
            wanted, images=tuple(given for given in wanted.images if given.role not in ignores)
        )

    def _moderate(self, prompt: str) -> None:
        """Refuse a prompt at once, where this kind of server does; elsewhere its job fails."""
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
            **self._fate(source.model, source.seconds, source.mode, prompt, fault),
        )

    async def _retrieve(self, request: Request) -> Response:
        self._authorised(request)
        job = self._job(request)
        self.truth["retrieved"] += 1
        fault = self.faults.strike("retrieve", job.prompt, job.model)
        if fault and fault.do in ("status", "lose_before", "lose_after", "garbage"):
            return spoilt(fault)
        if self.gateway and (early := self._early("retrieve", job, self.gateway.first_asked)):
            return early
        if self.jobs.at_once:
            raise Refused("no such route", status=404, code="not_found")
        return await self._answer(request, job, fault)

    def _early(self, what: str, job: SimJob, answers: tuple[Said, ...]) -> Response | None:
        """The answer to one of the first requests of this kind for a job, where this server has
        another one for them.
        """
        at = self._answered[what, job.id]
        self._answered[what, job.id] += 1
        return (
            JSONResponse(answers[at].body, answers[at].status or 200) if at < len(answers) else None
        )

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
        page = [self._describe(request, job) for job in jobs[: int(limit)]]
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
        if self.gateway and (early := self._early("content", job, self.gateway.early_content)):
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
        """The clip; with ranges, unless a fault strikes."""
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

    async def _body(self, request: Request) -> Any:
        kind = request.headers.get("content-type", "")
        if int(request.headers.get("content-length") or 0) > MAX_BODY_BYTES:
            raise Refused("the body is too large", status=413, code="too_large")
        try:
            if self.profile.is_lax and kind.startswith("multipart/form-data"):
                return await read_form(request)
            if not kind.startswith("application/json"):
                raise Refused("Content-Type must be application/json")
            return json.loads(await request.body())
        except (ValueError, RecursionError, KeyError) as error:
            raise Refused("the body cannot be read") from error
        except Exception as error:
            if type(error).__name__ in ("MultiPartException", "HTTPException"):
                raise Refused("the form cannot be read") from error
            raise

    def _job(self, request: Request) -> SimJob:
        job = self.jobs.jobs.get(request.path_params["id"])
        if job is None:
            raise Refused("video not found", status=404, code="not_found")
        return job

    def _describe(self, request: Request, job: SimJob, *, new: bool = False) -> Any:
        if self.gateway:
            return describe.gateway(self.gateway, self.jobs, job, str(request.base_url), new=new)
        if self.profile.is_lax:
            return describe.lax(self.jobs, job)
        return describe.strict(self.jobs, job, str(request.base_url), new=new)

    async def _answer(
        self, request: Request, job: SimJob, fault: Fault | None, *, new: bool = False
    ) -> Response:
        body = self._describe(request, job, new=new)
        if fault and fault.do == "word" and isinstance(body, dict):
            body["status"] = fault.word
        if fault and fault.do == "slow":
            return byte_by_byte(json.dumps(body).encode(), fault.seconds, "application/json")
        return JSONResponse(body, self._status(job, new=new))

    def _status(self, job: SimJob, *, new: bool) -> int:
        """The HTTP status of an answer about a job."""
        if self.gateway is None:
            return 200
        has_failed = self.jobs.status(job) == "failed" and not new
        return (
            self.gateway.failed_status
            if has_failed
            else self.gateway.created_status
            if new
            else 200
        )

    def _fate(
        self, model: str, seconds: int, mode: str | None, prompt: str, fault: Fault | None
    ) -> dict[str, Any]:
        """What will become of the job, and what it costs."""
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
    """What the truth calls the account of a key, without telling the key."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def _account(request: Request) -> str:
    return account_of(request.headers.get("authorization", "").partition(" ")[2].strip())

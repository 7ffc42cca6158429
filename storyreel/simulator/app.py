"""The stand-in API: an ASGI app that speaks the API's document to the letter, or OpenAI's own shape, and renders real clips."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import httpx
from PIL import Image, UnidentifiedImageError
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from storyreel.errors import MediaError
from storyreel.film.media.clip import verify
from storyreel.simulator import describe, offered, rules
from storyreel.simulator.faults import GATEWAY_PAGE, Fault, Faults, Where, parse
from storyreel.simulator.forms import read_form
from storyreel.simulator.jobs import Jobs, SimJob
from storyreel.simulator.openapi import document
from storyreel.simulator.rules import Refused, Wanted

MAX_VIDEO_BYTES = 200 * 2**20
MAX_BODY_BYTES = 64 * 2**20
Profile = Literal["strict", "lax"]
Handler = Callable[[Request], Awaitable[Response]]


class Simulator:
    """Routes and what they share. `truth` counts what was accepted, refused and billed, for tests to look at."""

    def __init__(
        self,
        jobs: Jobs,
        faults: Faults | None = None,
        *,
        profile: Profile = "strict",
        max_running: int | None = None,
        per_minute: int | None = None,
        credit: Decimal | None = None,
    ) -> None:
        self.jobs = jobs
        self.faults = faults or Faults([])
        self.profile = profile
        self.max_running = max_running
        self.per_minute = per_minute
        self.credit = credit
        self._recent: deque[float] = deque()
        self.truth: dict[str, Any] = {"accepted": [], "refused": [], "retrieved": 0, "downloads": 0, "keys": []}

    def app(self) -> Starlette:
        """The ASGI application."""
        routes = [
            Route("/v1/videos", self._api(self._create), methods=["POST"]),
            Route("/v1/videos/{id}", self._api(self._retrieve), methods=["GET"]),
            Route("/v1/videos/{id}/remix", self._api(self._remix), methods=["POST"]),
            Route("/files/{id}.mp4", self._api(self._file), methods=["GET"]),
            Route("/openapi.json", self._document, methods=["GET"]),
            Route("/simulator/truth", self._truth, methods=["GET"]),
            Route("/simulator/faults", self._set_faults, methods=["PUT"]),
        ]
        if self.profile == "lax":
            routes += [
                Route("/v1/videos", self._api(self._list), methods=["GET"]),
                Route("/v1/videos/{id}", self._api(self._delete), methods=["DELETE"]),
                Route("/v1/videos/{id}/content", self._api(self._content), methods=["GET"]),
            ]
        return Starlette(routes=routes)

    def _api(self, handler: Handler) -> Handler:
        """Answer what a handler refuses in the API's own kind of error body."""

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except Refused as error:
                body = {"error": {"message": error.message, "type": error.code, "code": error.code}}
                return JSONResponse(body, error.status, headers=error.headers)

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
            prompt = str(body.get("prompt", "")) if isinstance(body, dict) else ""
            fault = self.faults.strike(kind, prompt)
            if fault and fault.do in ("status", "lose_before", "garbage"):
                self.truth["refused"].append({"why": f"fault {fault.do}"})
                return _spoilt(fault)
            self._check_limits()
            job: SimJob = await accept(request, body, fault)
        except Refused as error:
            self.truth["refused"].append({"why": error.message})
            raise
        told = {"id": job.id, "account": job.account, "prompt": job.prompt, "model": job.model, "kind": kind}
        self.truth["accepted"].append(told)
        if fault and fault.do == "hang":
            await asyncio.sleep(fault.seconds)
        if fault and fault.do in ("lose_after", "hang"):
            return _dropped()
        return await self._told(request, job, fault, new=True)

    def _check_limits(self) -> None:
        if self.credit is not None and self.jobs.billed >= self.credit:
            raise Refused("insufficient balance", status=402, code="insufficient_quota")
        if self.max_running is not None and self.jobs.running() >= self.max_running:
            raise Refused("too many jobs in parallel", status=429, code="rate_limit_exceeded")
        if self.per_minute is not None:
            now = time.monotonic()
            while self._recent and self._recent[0] <= now - 60:
                self._recent.popleft()
            if len(self._recent) >= self.per_minute:
                wait = max(1, round(self._recent[0] + 60 - now))
                raise Refused(
                    "too many requests", status=429, code="rate_limit_exceeded", headers={"Retry-After": str(wait)}
                )
            self._recent.append(now)

    async def _accept_create(self, request: Request, body: Any, fault: Fault | None) -> SimJob:
        wanted = offered.read(body, self.jobs.catalog, lax=self.profile == "lax")
        stills = {
            given.role: await self._picture(given, wanted) for given in wanted.images if given.role != "reference"
        }
        for given in wanted.images:
            if given.role == "reference":
                await self._picture(given, wanted)
        if wanted.video_url:
            stills |= await self._video(wanted.video_url)
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

    async def _accept_remix(self, request: Request, body: Any, fault: Fault | None) -> SimJob:
        prompt = rules.read_prompt(body)
        if self.profile == "strict" and set(body) != {"prompt"}:
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
        fault = self.faults.strike("retrieve", job.prompt)
        if fault and fault.do in ("status", "lose_before", "lose_after", "garbage"):
            return _spoilt(fault)
        return await self._told(request, job, fault)

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
        told = {"object": "list", "data": page, "has_more": len(jobs) > len(page)}
        told |= {"first_id": page[0]["id"] if page else None, "last_id": page[-1]["id"] if page else None}
        return JSONResponse(told)

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
        variant = request.query_params.get("variant", "video")
        if variant == "video":
            return await self._bytes(job)
        if variant not in ("thumbnail", "spritesheet"):
            raise Refused("variant is video, thumbnail or spritesheet")
        return Response(
            await asyncio.to_thread(describe.picture, await self.jobs.clip(job), variant), media_type="image/jpeg"
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
        fault = self.faults.strike("content", job.prompt)
        if fault is None:
            return FileResponse(await self.jobs.clip(job), media_type="video/mp4")
        if fault.do in ("status", "lose_before", "lose_after", "garbage"):
            return _spoilt(fault)
        return await _spoilt_file(fault, await self.jobs.clip(job))

    # ---- for tests

    async def _document(self, request: Request) -> Response:
        return JSONResponse(document(self.profile))

    async def _truth(self, request: Request) -> Response:
        told = {"jobs": len(self.jobs.jobs), "running": self.jobs.running(), "billed": str(self.jobs.billed)}
        return JSONResponse(self.truth | told)

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
            if self.profile == "lax" and kind.startswith("multipart/form-data"):
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

    def _describe(self, request: Request, job: SimJob, *, new: bool = False) -> dict[str, Any]:
        if self.profile == "lax":
            return describe.lax(self.jobs, job)
        return describe.strict(self.jobs, job, str(request.base_url), new=new)

    async def _told(self, request: Request, job: SimJob, fault: Fault | None, *, new: bool = False) -> Response:
        told = self._describe(request, job, new=new)
        if fault and fault.do == "word":
            told["status"] = fault.word
        if fault and fault.do == "slow":
            return _byte_by_byte(json.dumps(told).encode(), fault.seconds, "application/json")
        return JSONResponse(told)

    def _fate(self, model: str, seconds: int, mode: str | None, prompt: str, fault: Fault | None) -> dict[str, Any]:
        """What will become of the job, and what it costs."""
        fails = None
        if "moderation-test" in prompt:
            message = "Your request was blocked by our moderation system."
            fails = {"code": "moderation_blocked", "message": message}
        elif fault and fault.do == "fail":
            fails = {"code": fault.code, "message": fault.message}
        price = self.jobs.catalog.models[model].price(seconds, mode)
        return {
            "fails": fails,
            "flags": [fault.do] if fault and not fails else [],
            "billed": str(price.high) if price and not fails else None,
        }

    async def _picture(self, given: rules.Given, wanted: Wanted) -> str:
        data = given.data if given.data is not None else await self._fetch(given.url or "", rules.MAX_IMAGE_BYTES)
        try:
            with Image.open(io.BytesIO(data)) as picture:
                picture.load()
                offered.check_image(picture.format or "", picture.size, len(data), wanted, self.jobs.catalog)
        except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
            raise Refused(f"{given.role} is not a picture") from error
        return self.jobs.keep_still(data)

    async def _video(self, url: str) -> dict[str, str]:
        """Fetch a reference video and keep its outer pictures, which the new clip will wear."""
        data = await self._fetch(url, MAX_VIDEO_BYTES)
        path = self.jobs.folder / "stills" / f"{hashlib.sha256(data).hexdigest()}.mp4"
        path.write_bytes(data)
        try:
            opened = await asyncio.to_thread(verify, path)
        except MediaError as error:
            raise Refused(f"the reference video cannot be read: {error}") from error
        facts = opened.facts
        if not 3 <= facts.duration_s <= 10.1 or not 720 <= min(facts.width, facts.height) <= 2160:
            raise Refused("a reference video has 3 to 10 s and sides of 720 to 2160 px")
        kept = {}
        for role, picture in (("first_frame", opened.first), ("end_frame", opened.last)):
            out = io.BytesIO()
            picture.save(out, "PNG", compress_level=1)
            kept[role] = self.jobs.keep_still(out.getvalue())
        return kept

    async def _fetch(self, url: str, limit: int) -> bytes:
        try:
            async with httpx.AsyncClient(timeout=20, trust_env=False) as http, http.stream("GET", url) as answer:
                if answer.status_code != 200:
                    raise Refused(f"{url.partition('?')[0]} answers {answer.status_code}")
                data = b""
                async for chunk in answer.aiter_bytes():
                    data += chunk
                    if len(data) > limit:
                        raise Refused("the file is too large")
                return data
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise Refused(f"{url.partition('?')[0]} cannot be fetched") from error


def account_of(key: str) -> str:
    """What the truth calls the account of a key, without telling the key."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def _account(request: Request) -> str:
    return account_of(request.headers.get("authorization", "").partition(" ")[2].strip())


def _spoilt(fault: Fault) -> Response:
    if fault.do == "status":
        return Response(fault.text, fault.status, headers=fault.headers)
    if fault.do == "garbage":
        return Response(GATEWAY_PAGE, 200, media_type="text/html")
    return _dropped()


async def _spoilt_file(fault: Fault, clip: Path) -> Response:
    data = await asyncio.to_thread(clip.read_bytes)
    if fault.do == "break":
        answer = FileResponse(clip, media_type="video/mp4", stat_result=await asyncio.to_thread(clip.stat))
        return StreamingResponse(
            _breaking(data[: len(data) // 2]), headers=_plain(answer.headers), media_type="video/mp4"
        )
    if fault.do == "slow":
        return _byte_by_byte(data, fault.seconds, "video/mp4")
    if fault.do in ("truncate", "empty"):
        data = data[: len(data) // 2] if fault.do == "truncate" else b""
    return Response(data, media_type="video/mp4")


def _plain(headers: Headers) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != "content-type"}


async def _breaking(data: bytes) -> AsyncIterator[bytes]:
    yield data
    raise ConnectionResetError("dropped on purpose")


def _dropped() -> Response:
    """An answer that breaks off: the client cannot know what became of its request."""
    return StreamingResponse(_breaking(b"{"), headers={"Content-Length": "1000"})


def _byte_by_byte(data: bytes, seconds: float, kind: str) -> Response:
    async def drip() -> AsyncIterator[bytes]:
        pieces = min(len(data), 200)
        size = -(-len(data) // max(1, pieces))
        for at in range(0, len(data), size):
            await asyncio.sleep(seconds / pieces)
            yield data[at : at + size]

    return StreamingResponse(drip(), headers={"Content-Length": str(len(data))}, media_type=kind)

"""The stand-in API: an ASGI app that speaks the API's document to the letter and renders real clips."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
from PIL import Image, UnidentifiedImageError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from storyreel.errors import MediaError
from storyreel.media.clip import verify
from storyreel.simulator import rules
from storyreel.simulator.faults import Fault, Faults, parse
from storyreel.simulator.jobs import RESULT_LIFE_S, Jobs, SimJob
from storyreel.simulator.rules import Refused, Wanted

MAX_VIDEO_BYTES = 200 * 2**20
_SECRET = "simulator"


class Simulator:
    """Routes and what they share. `truth` counts what was accepted and refused, for tests to look at."""

    def __init__(self, jobs: Jobs, faults: Faults | None = None, *, max_running: int | None = None) -> None:
        self.jobs = jobs
        self.faults = faults or Faults([])
        self.max_running = max_running
        self.truth: dict[str, Any] = {"accepted": [], "refused": [], "retrieved": 0, "downloads": 0, "keys": []}

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/v1/videos", self._create, methods=["POST"]),
                Route("/v1/videos/{id}", self._retrieve, methods=["GET"]),
                Route("/v1/videos/{id}/remix", self._remix, methods=["POST"]),
                Route("/files/{id}.mp4", self._file, methods=["GET"]),
                Route("/simulator/truth", self._truth, methods=["GET"]),
                Route("/simulator/faults", self._set_faults, methods=["PUT"]),
            ]
        )

    # ---- the API

    async def _create(self, request: Request) -> Response:
        return await self._paid(request, "create", self._accept_create)

    async def _remix(self, request: Request) -> Response:
        return await self._paid(request, "remix", self._accept_remix)

    async def _paid(self, request: Request, kind: Any, accept: Any) -> Response:
        raw = await request.body()
        try:
            self._authorised(request)
            body = _body(request, raw)
            fault = self.faults.strike(kind, str(body.get("prompt", "")) if isinstance(body, dict) else "")
            if fault and fault.do == "status":
                self.truth["refused"].append({"why": f"fault {fault.status}"})
                return Response(fault.body, fault.status, headers=fault.headers)
            if fault and fault.do == "lose_before":
                return _dropped()
            if self.max_running is not None and self.jobs.running() >= self.max_running:
                raise Refused("too many jobs in parallel", status=429, code="rate_limit_exceeded")
            job: SimJob = await accept(request, body, fault)
        except Refused as error:
            self.truth["refused"].append({"why": error.message})
            return _error(error)
        self.truth["accepted"].append({"id": job.id, "prompt": job.prompt, "model": job.model, "kind": kind})
        if fault and fault.do in ("lose_after", "hang"):
            if fault.do == "hang":
                await asyncio.sleep(fault.seconds)
            return _dropped()
        return JSONResponse(self._describe(job, new=True))

    async def _accept_create(self, request: Request, body: Any, fault: Fault | None) -> SimJob:
        wanted = rules.read(body)
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
            **_fate(wanted.prompt, fault),
        )

    async def _accept_remix(self, request: Request, body: Any, fault: Fault | None) -> SimJob:
        prompt = rules.read_prompt(body)
        if set(body) != {"prompt"}:
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
            **_fate(prompt, fault),
        )

    async def _retrieve(self, request: Request) -> Response:
        try:
            self._authorised(request)
            job = self._job(request)
        except Refused as error:
            return _error(error)
        self.truth["retrieved"] += 1
        fault = self.faults.strike("retrieve", job.prompt)
        if fault and fault.do == "status":
            return Response(fault.body, fault.status, headers=fault.headers)
        if fault and fault.do in ("lose_before", "lose_after"):
            return _dropped()
        return JSONResponse(self._describe(job, base=str(request.base_url)))

    async def _file(self, request: Request) -> Response:
        try:
            job = self._job(request)
        except Refused as error:
            return _error(error)
        expires = request.query_params.get("e", "0")
        if request.query_params.get("token") != _token(job.id, expires) or int(expires) < self.jobs.now():
            return JSONResponse({"error": "expired token"}, 403)
        if "authorization" in request.headers:
            self.truth["keys"].append("the key was sent to a result URL")
        self.truth["downloads"] += 1
        fault = self.faults.strike("content", job.prompt)
        if fault and fault.do == "status":
            return Response(fault.body, fault.status, headers=fault.headers)
        data = (await self.jobs.clip(job)).read_bytes()
        if fault and fault.do in ("truncate", "garbage", "empty"):
            data = {"truncate": data[: len(data) // 2], "garbage": b"<html>504</html>", "empty": b""}[fault.do]
        return Response(data, media_type="video/mp4")

    # ---- for tests

    async def _truth(self, request: Request) -> Response:
        return JSONResponse(self.truth | {"jobs": len(self.jobs.jobs), "running": self.jobs.running()})

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

    def _describe(self, job: SimJob, *, new: bool = False, base: str = "") -> dict[str, Any]:
        status = "queued" if new else self.jobs.status(job)
        created = int(job.created_at)
        told: dict[str, Any] = {"id": job.id, "object": "video", "model": job.model}
        if job.mode:
            told["mode"] = job.mode
        if job.remixed_from:
            told["remixed_from_video_id"] = job.remixed_from
        told |= {"status": status, "created_at": created, "updated_at": created if new else int(self.jobs.now())}
        told |= {"seconds": str(job.seconds), "size": job.size}
        done = int(job.created_at + job.takes_s)
        if status == "completed":
            expires = done + RESULT_LIFE_S if "expire" not in job.flags else 1
            told |= {"completed_at": done, "expires_at": done + RESULT_LIFE_S}
            if "no_url" not in job.flags:
                url = f"{base}files/{quote(job.id)}.mp4?e={expires}&token={_token(job.id, str(expires))}"
                told["task_result"] = {"videos": [{"id": f"{job.id}-1", "url": url, "duration": str(job.seconds)}]}
        if status == "failed":
            told |= {"completed_at": done, "error": job.fails}
        return told

    async def _picture(self, given: rules.Given, wanted: Wanted) -> str:
        data = given.data if given.data is not None else await self._fetch(given.url or "", rules.MAX_IMAGE_BYTES)
        try:
            with Image.open(io.BytesIO(data)) as picture:
                picture.load()
                rules.check_image(picture.format or "", picture.size, len(data), wanted)
        except (UnidentifiedImageError, OSError) as error:
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
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Refused(f"{url.partition('?')[0]} cannot be fetched") from error


def _fate(prompt: str, fault: Fault | None) -> dict[str, Any]:
    """What will become of the job."""
    if "moderation-test" in prompt:
        message = "Your request was blocked by our moderation system."
        return {"fails": {"code": "moderation_blocked", "message": message}, "flags": []}
    if fault is None:
        return {}
    if fault.do == "fail":
        return {"fails": {"code": fault.code, "message": fault.message}, "flags": []}
    return {"flags": [fault.do]}


def _body(request: Request, raw: bytes) -> Any:
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise Refused("Content-Type must be application/json")
    try:
        return json.loads(raw)
    except ValueError as error:
        raise Refused("the body is not JSON") from error


def _error(error: Refused) -> Response:
    body = {"error": {"message": error.message, "type": error.code, "code": error.code}}
    return JSONResponse(body, error.status)


def _dropped() -> Response:
    """An answer that breaks off: the client cannot know what became of its request."""

    async def nothing() -> AsyncIterator[bytes]:
        yield b"{"
        raise ConnectionResetError("dropped on purpose")

    return StreamingResponse(nothing(), headers={"Content-Length": "1000"})


def _token(job_id: str, expires: str) -> str:
    return "simulator:" + hashlib.sha256(f"{_SECRET}{job_id}{expires}".encode()).hexdigest()[:24]

"""The HTTP service over the queue of films (extra ``serve``: FastAPI, uvicorn, python-multipart)."""

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Annotated, Any

import anyio
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException as AnyHTTPException

from portrait_anim.errors import BusyError, LimitError, OptionError, OutputError, PortraitAnimError
from portrait_anim.service.films import FilmQueue
from portrait_anim.service.jobs import DONE, FAILED, FINISHED, Job
from portrait_anim.service.requests import (
    MAX_FIELDS,
    MAX_FILES,
    Limits,
    Sent,
    check_length,
    checked,
    read_json,
    read_multipart,
)
from portrait_anim.service.schema import request_body
from portrait_anim.version import __version__

MAX_JSON_BYTES = 32_000_000  # a JSON request is held in memory; larger files come as multipart
MAX_TEXT_BYTES = 100_000  # of one option in a form
PIECE_BYTES = 1 << 18  # of a film at a time
EVENTS_S = 0.1  # s between two looks at a job whose events are followed
RETRY_S = 10  # s after which a client may ask again when the queue is full
ABOUT = "One photo and one sound become a lip-synced film, marked as synthetic. Only with the consent of those shown."


class Film(BaseModel):
    """A film that is made."""

    duration_s: float
    n_frames: int
    fps: float
    width: int
    height: int
    bytes: int


class Status(BaseModel):
    """How a job stands. The share runs from 0 to 1; the seconds are known while frames are drawn."""

    id: str
    state: str
    place: int | None
    step: str | None
    share: float
    seconds_left: float | None
    error: str | None
    notes: list[str]
    film: Film | None
    fetched: bool


class Problem(BaseModel):
    """One line: what happened, to which input, what to do."""

    error: str


def service(films: FilmQueue, key: str, limits: Limits) -> FastAPI:
    """Return the service, an ASGI application.

    Args:
        films: where the jobs go.
        key: what clients send as ``Authorization: Bearer KEY``.
        limits: of what they may ask for.
    """
    bearer = HTTPBearer(auto_error=False, description="the key that the server printed, or was given")

    def knows_key(given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> None:
        if given is None or not secrets.compare_digest(given.credentials.encode(), key.encode()):
            line = "the key is missing or wrong: send the header Authorization: Bearer KEY"
            raise HTTPException(401, line, {"WWW-Authenticate": "Bearer"})

    def known(id: str, _: Annotated[None, Depends(knows_key)]) -> Job:
        if (job := films.get(id)) is None:
            raise HTTPException(404, "no such job: it is not known, or not any more")
        return job

    one_line = _problems(401, 404)
    web = FastAPI(
        title="portrait_anim", version=__version__, description=ABOUT,
        responses=_problems(401), redoc_url=None,
    )  # fmt: skip
    _tell_in_one_line(web)

    @web.post("/v1/films", status_code=202, dependencies=[Depends(knows_key)], openapi_extra=request_body(),
              responses=_problems(411, 413, 415, 422, 429, 507))  # fmt: skip
    async def make(request: Request, response: Response) -> Status:
        """Put a film into the queue. Options have the command line's names; files are uploads."""
        films.check_room()  # before the body is read
        _check_length(request, limits.upload_bytes, "send less")
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "multipart/form-data":
            async with request.form(max_files=MAX_FILES, max_fields=MAX_FIELDS, max_part_size=MAX_TEXT_BYTES) as form:
                items = [
                    (name, Sent(value.filename or "", value.file) if isinstance(value, UploadFile) else value)
                    for name, value in form.multi_items()
                ]
                made = await run_in_threadpool(lambda: put(*read_multipart(items)))
        elif kind == "application/json":
            _check_length(request, MAX_JSON_BYTES, "send files as multipart/form-data")
            made = await run_in_threadpool(_put_json, await request.body(), put)
        else:
            raise HTTPException(415, "the request is neither multipart/form-data nor application/json")
        response.headers["Location"] = f"/v1/films/{made.id}"
        return made

    def put(choices: dict[str, Any], files: dict[str, list[Sent]]) -> Status:
        keywords, uploads = checked(choices, files, limits)
        job = films.add(keywords, uploads, partial(check_length, limits=limits))
        return _status(films, job)

    @web.get("/v1/films/{id}", responses=one_line)
    def status(job: Annotated[Job, Depends(known)]) -> Status:
        """Tell how a job stands."""
        return _status(films, job)

    @web.get("/v1/films/{id}/events", response_class=EventSourceResponse, responses=one_line)
    async def events(job: Annotated[Job, Depends(known)]) -> AsyncIterator[ServerSentEvent]:
        """Tell how a job stands whenever that changes, until it is finished. An event's name is the job's state."""
        told: Status | None = None
        while told is None or told.state not in FINISHED:
            now = _status(films, job)
            if now != told:
                told = now
                yield ServerSentEvent(data=now, event=now.state)
            else:
                await asyncio.sleep(EVENTS_S)

    @web.get("/v1/films/{id}/film", response_class=StreamingResponse,
             responses={**_problems(401, 404, 409, 410), 200: {"content": {"video/mp4": {}}}})  # fmt: skip
    async def film(job: Annotated[Job, Depends(known)]) -> StreamingResponse:
        """Send the film, and delete it once it is sent whole."""
        if job.fetched:
            raise HTTPException(410, "the film was fetched before, and deleted then")
        if job.state != DONE:
            raise HTTPException(409, job.error if job.state == FAILED and job.error else f"the film is {job.state}")
        try:
            file = await anyio.open_file(films.film(job), "rb")
        except OSError as e:  # fetched or forgotten meanwhile
            raise HTTPException(410, "the film is gone") from e
        n_bytes = (await run_in_threadpool(os.fstat, file.wrapped.fileno())).st_size

        async def content() -> AsyncIterator[bytes]:
            n_left = n_bytes
            async with file:
                while piece := await file.read(PIECE_BYTES):  # ends here when the client goes before the end
                    yield piece
                    n_left -= len(piece)
                    if not n_left:  # handed over; now the client may close the connection, which ends this function
                        with anyio.CancelScope(shield=True):
                            await run_in_threadpool(films.fetched, job)

        headers = {
            "Content-Length": str(n_bytes),
            "Content-Disposition": f'attachment; filename="{job.id}.mp4"',
            "Cache-Control": "no-store",
        }
        return StreamingResponse(content(), media_type="video/mp4", headers=headers)

    @web.delete("/v1/films/{id}", responses=one_line)
    def cancel(job: Annotated[Job, Depends(known)]) -> Status:
        """Stop a job, wherever it is. One that is finished is forgotten, with its film."""
        films.cancel(job)
        return _status(films, job)

    return web


def _problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    return {code: {"model": Problem} for code in codes}


def _status(films: FilmQueue, job: Job) -> Status:
    return Status.model_validate(films.status(job))


def _check_length(request: Request, most: int, advice: str) -> None:
    """Refuse a request by its length, before it is read; the server reads no more than the length that it says."""
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or "transfer-encoding" in request.headers:
        raise HTTPException(411, "the request does not say how long it is: send Content-Length")
    if int(length) > most:
        raise LimitError(f"the request has {int(length) / 1e6:.1f} MB, and {most / 1e6:g} MB are allowed: {advice}")


def _put_json(body: bytes, put: Callable[..., Status]) -> Status:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as e:
        raise OptionError(f"the JSON cannot be read ({e}): send an object") from e
    return put(*read_json(given))


def _tell_in_one_line(web: FastAPI) -> None:
    """Let every error be ``{"error": line}`` with a fitting status."""

    def answer(code: int, line: str, headers: Any = None) -> JSONResponse:
        return JSONResponse({"error": " ".join(line.split())}, code, headers)

    @web.exception_handler(AnyHTTPException)
    async def refused(request: Request, e: AnyHTTPException) -> JSONResponse:
        return answer(e.status_code, e.detail, e.headers)

    @web.exception_handler(PortraitAnimError)
    async def ours(request: Request, e: PortraitAnimError) -> JSONResponse:
        if isinstance(e, BusyError):
            return answer(429, str(e), {"Retry-After": str(RETRY_S)})
        return answer(413 if isinstance(e, LimitError) else 507 if isinstance(e, OutputError) else 422, str(e))

    @web.exception_handler(OSError)
    async def disk(request: Request, e: OSError) -> JSONResponse:
        return answer(507, f"cannot keep what was sent ({e.strerror}): free some space on the server")

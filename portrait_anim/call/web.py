"""The page and its messages over HTTP. A page gets a token; whoever has none gets no call."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from portrait_anim.call.desk import Desk, watched
from portrait_anim.call.wishes import MESSAGE_BYTES, Wishes, offer_of
from portrait_anim.errors import BusyError, LimitError, OptionError, PortraitAnimError
from portrait_anim.options import EMOTIONS

STATIC = {"call.js": "text/javascript", "call.css": "text/css"}
GIVEN = "{{given}}"  # in the page, where its values stand
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob: mediastream:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
LOCAL = ("127.0.0.1", "::1", "localhost")  # addresses of this machine


def page(desk: Desk, sources: tuple[str, ...], host: str) -> Starlette:
    """Return the web application.

    Args:
        desk: keeps the calls.
        sources: what may drive a face, the first of them at first.
        host: the address that it is served on; on one of this machine no other name is answered, so that no page from
            elsewhere gets in by a name that it lets point here.
    """
    folder = files("portrait_anim.call") / "static"
    html = (folder / "index.html").read_text("utf-8")

    async def index(_: Request) -> Response:
        given = json.dumps({"token": desk.token(), "sources": sources, "emotions": EMOTIONS})
        return Response(html.replace(GIVEN, given), media_type="text/html", headers=HEADERS)

    async def static(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in STATIC:
            return Response("not found", 404)
        return Response((folder / name).read_bytes(), media_type=STATIC[name], headers=HEADERS)

    async def message(request: Request) -> Response:
        try:
            given = await _read(request)
            token = desk.check(given.get("token"))
            return JSONResponse(await _done(request.path_params["what"], token, given), headers=HEADERS)
        except PortraitAnimError as e:
            status = 503 if isinstance(e, BusyError) else 413 if isinstance(e, LimitError) else 400
            return JSONResponse({"error": str(e)}, status, headers=HEADERS)

    async def _done(what: str, token: str, given: dict[str, Any]) -> dict[str, Any]:
        if what == "call":
            offer, source = offer_of(given, sources)
            return {"answer": await desk.call(token, offer, source, Wishes.of(given))}
        if what == "change":
            await desk.change(token, Wishes.of(given))
        elif what == "hang-up":
            await desk.hang_up(token)
        elif what == "numbers":
            return desk.numbers(token)
        else:
            raise OptionError(f"unknown message {what!r}")
        return {}

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with watched(desk):
            yield

    routes = [
        Route("/", index),
        Route("/static/{name}", static),
        Route("/call/{what}", message, methods=["POST"]),
    ]
    guard = [Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]"])]
    return Starlette(routes=routes, lifespan=lifespan, middleware=guard if host in LOCAL else [])


async def _read(request: Request) -> dict[str, Any]:
    """Return a message, a JSON object.

    Raises:
        LimitError: it is too long.
        OptionError: it is no JSON object.
    """
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MESSAGE_BYTES:
            raise LimitError(f"the message has more than {MESSAGE_BYTES // 1_000_000} MB: send a smaller photo")
    try:
        given = json.loads(data)
    except ValueError as e:
        raise OptionError("the message is no JSON") from e
    if not isinstance(given, dict):
        raise OptionError("the message is no JSON object")
    return given

"""A live face's motion for other programs, as it is shown: packets of Live Link Face, or JSON over a websocket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
import uuid
from typing import Any, Protocol
from urllib.parse import urlsplit

from portrait_anim.config import FPS
from portrait_anim.errors import DependencyError, OptionError, OutputError
from portrait_anim.live.frame import LiveFrame
from portrait_anim.motion.arkit import EYES, FACE, HEAD
from portrait_anim.motion.arkit_live import LiveValues
from portrait_anim.motion.livelink_packet import encode
from portrait_anim.motion.space import MotionSpace

SUBJECT = "portrait_anim"
CLOSE_S = 5.0  # that a server may take to end
DAY_S = 86_400


class Curves(Protocol):
    """Where curves go."""

    def write(self, frame: LiveFrame) -> None:
        """Send a frame's values; what cannot be sent is left out."""

    def close(self) -> None:
        """Stop."""


def open_curves(address: str, space: MotionSpace) -> Curves:
    """Return where a frame's curves go.

    Args:
        address: ``udp://HOST:PORT`` to send to, or ``ws://HOST:PORT`` to serve at.
        space: of the frames' motion.

    Raises:
        OptionError: another address.
        OutputError: there is no such host, or the port is taken.
        DependencyError: a websocket needs the extra ``curves``.
    """
    scheme, host, port = split_address(address)
    if scheme == "udp":
        return UdpCurves(host, port, space)
    return WebCurves(host, port, space)


def split_address(address: str, schemes: tuple[str, ...] = ("udp", "ws")) -> tuple[str, str, int]:
    """Return scheme, host and port.

    Raises:
        OptionError: it has another scheme, or no host or port.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError as e:
        raise OptionError(f"address {address!r} cannot be read ({e}): give for example udp://127.0.0.1:11111") from e
    if parts.scheme not in schemes or not host or not port or parts.path not in ("", "/"):
        kinds = " or ".join(f"{scheme}://HOST:PORT" for scheme in schemes)
        raise OptionError(f"address {address!r}: give {kinds}, for example {schemes[0]}://127.0.0.1:11111")
    return parts.scheme, host, port


class UdpCurves:
    """Sends every frame as a packet of Live Link Face.

    Args:
        host, port: where to.
        space: of the frames' motion.

    Raises:
        OutputError: there is no such host.
    """

    def __init__(self, host: str, port: int, space: MotionSpace) -> None:
        try:
            family, kind, _, _, to = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            self._socket = socket.socket(family, kind)
        except OSError as e:
            raise OutputError(f"curves cannot go to {host}:{port} ({e.strerror}): give another address") from e
        self._to: Any = to
        self._socket.setblocking(False)
        self._values = LiveValues(space)
        self._device = str(uuid.uuid4()).upper()
        now = time.localtime()
        self._start_s = now.tm_hour * 3600 + now.tm_min * 60 + now.tm_sec

    def write(self, frame: LiveFrame) -> None:
        """Send a frame."""
        number = round((self._start_s + frame.time_s) % DAY_S * FPS)
        packet = encode(self._values(frame.motion), device=self._device, subject=SUBJECT, number=number, fps=FPS)
        with contextlib.suppress(OSError):  # nobody listens there, now
            self._socket.sendto(packet, self._to)

    def close(self) -> None:
        """Stop."""
        self._socket.close()


class WebCurves:
    """Serves a websocket that tells whoever connects every frame's values as JSON.

    Args:
        host, port: where it serves; port 0: any that is free.
        space: of the frames' motion.

    Attributes:
        port: that it serves at.

    Raises:
        OutputError: the port is taken.
        DependencyError: the extra ``curves`` is missing.
    """

    def __init__(self, host: str, port: int, space: MotionSpace) -> None:
        try:
            from websockets.asyncio.server import broadcast, serve
        except ImportError as e:
            raise DependencyError("a websocket needs a package more: pip install 'portrait-anim[curves]'") from e
        self._values, self._send, self._server = LiveValues(space), broadcast, serve
        self._all: set[Any] = set()
        self._host, self.port = host, port
        self._loop = asyncio.new_event_loop()
        self._ready, self._stop = threading.Event(), asyncio.Event()
        self._failed: OSError | None = None
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)
        self._thread.start()
        self._ready.wait(CLOSE_S)
        if self._failed is not None:
            self.close()
            raise OutputError(
                f"curves cannot be served at {host}:{port} ({self._failed.strerror}): give another port"
            ) from self._failed

    async def _serve(self) -> None:
        async def meet(one: Any) -> None:
            self._all.add(one)
            try:
                async for _ in one:  # nothing is wanted of it; until it goes
                    pass
            finally:
                self._all.discard(one)

        try:
            async with self._server(meet, self._host, self.port, max_size=1 << 10, compression=None) as server:
                self.port = server.sockets[0].getsockname()[1]
                self._ready.set()
                await self._stop.wait()
        except OSError as e:
            self._failed = e
            self._ready.set()

    def write(self, frame: LiveFrame) -> None:
        """Send a frame to all who listen; who is too slow misses it."""
        if self._all:
            text = as_json(self._values(frame.motion), frame.time_s)
            self._loop.call_soon_threadsafe(lambda: self._send(self._all, text))

    def close(self) -> None:
        """Say goodbye to all, and stop."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(CLOSE_S)
        if not self._thread.is_alive():
            self._loop.close()


def as_json(values: dict[str, float], time_s: float) -> str:
    """Return a frame as JSON: ``blendshapes`` by ARKit's names (``jawOpen``), ``head`` and ``eyes`` in radians."""
    turned = {name[0].lower() + name[1:]: round(values[name], 4) for name in (*FACE, *HEAD, *EYES)}
    head = {name.removeprefix("Head").lower(): turned.pop(name[0].lower() + name[1:]) for name in HEAD}
    eyes = {name[0].lower() + name[1:]: turned.pop(name[0].lower() + name[1:]) for name in EYES}
    return json.dumps({"time": round(time_s, 3), "synthetic": True, "blendshapes": turned, "head": head, "eyes": eyes})

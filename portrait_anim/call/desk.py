"""All calls: who may have one, how many there are, and which nobody is in any more."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import numpy.typing as npt

from portrait_anim.call.session import MakeFace, Session
from portrait_anim.call.wishes import Wishes
from portrait_anim.errors import BusyError, OptionError

SILENT_S = 20.0  # without a word from the page, after which nobody is there; it asks twice a second
LOOK_S = 1.0  # from one look for such calls to the next


class Desk:
    """Keeps the calls.

    Args:
        make_face: makes a face of a photo.
        most: calls at a time.
        sound: (N,) at 16 kHz of the file that drives faces, if there is one.
        silent_s: after so long without a word from its page a call is over.
    """

    def __init__(
        self, make_face: MakeFace, most: int, sound: npt.NDArray[np.float32] | None = None, silent_s: float = SILENT_S
    ) -> None:
        self._make_face, self._most, self._sound, self._silent_s = make_face, most, sound, silent_s
        self._secret = secrets.token_bytes(32)
        self.sessions: dict[str, Session] = {}

    def token(self) -> str:
        """Return a new token: it allows one call at a time. Nothing is kept of it."""
        name = secrets.token_urlsafe(16)
        return f"{name}.{self._seal(name)}"

    def check(self, token: object) -> str:
        """Return a token that was made here.

        Raises:
            OptionError: it was not.
        """
        name, _, seal = token.partition(".") if isinstance(token, str) and token.isascii() else ("", "", "")
        if not isinstance(token, str) or not hmac.compare_digest(seal, self._seal(name)):
            raise OptionError("this page is from an earlier run: load it again")
        return token

    async def call(self, token: str, offer: str, source: str, wishes: Wishes) -> str:
        """Begin a call; one that the token has already is hung up. Return the answer to the offer.

        Raises:
            BusyError: as many as allowed go on.
            PortraitAnimError: as of :meth:`Session.answer`.
        """
        await self.hang_up(token)
        await self._forget_gone()
        if len(self.sessions) >= self._most:
            raise BusyError(f"{self._most} calls go on, and no more are allowed: try again later")
        session = self.sessions[token] = Session(self._make_face, source, self._sound)
        try:
            return await session.answer(offer, wishes)
        except BaseException:
            await self._end(token, session)
            raise

    async def change(self, token: str, wishes: Wishes) -> None:
        """Change a call's face.

        Raises:
            OptionError: there is no such call.
        """
        await self._session(token).change(wishes)

    def numbers(self, token: str) -> dict[str, Any]:
        """Return how a call is doing; its page is there."""
        session = self.sessions.get(token)
        if session is None:
            return {"over": True}
        session.asked_s = time.monotonic()
        return session.numbers

    async def hang_up(self, token: str) -> None:
        """End a call; nothing happens where there is none."""
        if (session := self.sessions.get(token)) is not None:
            await self._end(token, session)

    async def watch(self) -> None:
        """End calls whose connection or page is gone, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self._forget_gone()

    async def close(self) -> None:
        """End all calls."""
        for token, session in list(self.sessions.items()):
            await self._end(token, session)

    async def _forget_gone(self) -> None:
        for token, session in list(self.sessions.items()):
            if session.over or time.monotonic() - session.asked_s > self._silent_s:
                await self._end(token, session)

    async def _end(self, token: str, session: Session) -> None:
        if self.sessions.get(token) is session:
            del self.sessions[token]
        await session.close()

    def _session(self, token: str) -> Session:
        if (session := self.sessions.get(token)) is None:
            raise OptionError("there is no call: press Start")
        return session

    def _seal(self, name: str) -> str:
        return hmac.new(self._secret, name.encode(), hashlib.sha256).hexdigest()


@contextlib.asynccontextmanager
async def watched(desk: Desk) -> AsyncIterator[None]:
    """Watch over the calls meanwhile; end all of them after it."""
    watch = asyncio.create_task(desk.watch())
    try:
        yield
    finally:
        watch.cancel()
        await desk.close()

"""A phone's face (the app Live Link Face, or whatever sends its packets) moves the photo."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from portrait_anim.config import FPS
from portrait_anim.drivers.curves import HELD_RAD, MAX_REST, RESTING, ROOM_GAZE_RAD, SHOWN_GAZE_RAD
from portrait_anim.errors import MotionError, OptionError
from portrait_anim.motion.action_units import TRACKS
from portrait_anim.motion.arkit_shapes import SHAPES
from portrait_anim.motion.limits import limited_turn
from portrait_anim.motion.livelink_packet import LARGEST, ORDER, decode
from portrait_anim.motion.space import Motion
from portrait_anim.system.easing import bent

logger = logging.getLogger(__name__)

Array = npt.NDArray[np.float32]

LOST_S = 0.5  # without a face after which the photo goes on by itself
CALIBRATED = FPS  # frames in which it is seen how the performer's face rests
LOOK_S = 0.2  # between looks whether it shall stop


class Phone:
    """Listens for packets, in a thread.

    Args:
        host: that is listened at; ``"0.0.0.0"``: all of this machine's addresses.
        port: 11111 is the app's own; 0: any that is free.
        now: a clock, s.

    Attributes:
        port: that it listens at.
        n_packets: packets with a face so far.
        n_bad: datagrams that were none, or came from another sender than the one that leads.

    Raises:
        OptionError: the port is taken, or the address is not this machine's.
    """

    def __init__(self, host: str, port: int, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind((host, port))
        except OSError as e:
            self._socket.close()
            raise OptionError(f"cannot listen at {host}:{port} ({e.strerror}): give another port") from e
        self._socket.settimeout(LOOK_S)
        self.port: int = self._socket.getsockname()[1]
        self.n_packets = self.n_bad = 0
        self._latest: dict[str, float] | None = None
        self._came_s = -np.inf
        self._leader: str | None = None
        self._rest: list[Array] = []  # shapes and lids (8,), gaze (2,) and head (3,) of the first second
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="phone", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._ends.set()
        self._thread.join()
        self._socket.close()
        if self.n_bad:
            logger.info("%d datagrams were no packets of the face that leads: they were left out", self.n_bad)

    def recalibrate(self) -> None:
        """Take how the face looks during the next second for its rest."""
        self._rest = []

    def motion(self) -> Motion | None:
        """Return how the face is now (T = 1); None: none has been seen for :data:`LOST_S`."""
        values = self._latest
        if values is None or self._now() - self._came_s > LOST_S:
            return None
        shown = Motion.from_arkit({name: np.array([values[name]]) for name in ORDER}, FPS)
        columns = [len(TRACKS) + SHAPES.index(name) for name in RESTING]
        small = np.concatenate([shown.expression[0, columns], shown.blink[0]])
        if len(self._rest) < CALIBRATED:
            self._rest.append(np.concatenate([small, shown.gaze[0], shown.rotation[0]]))
        n_small = len(small)
        rest = np.median(self._rest, axis=0)
        idle = np.clip(rest[:n_small], 0, MAX_REST)
        small = np.maximum(small - idle, 0) / (1 - idle)
        expression, blink = shown.expression.copy(), small[None, len(columns) :]
        expression[0, columns] = small[: len(columns)]
        gaze, rotation = shown.gaze[0] - _held(rest[n_small : n_small + 2]), shown.rotation[0] - _held(rest[-3:])
        return replace(
            shown, expression=expression.astype(np.float32), blink=blink.astype(np.float32),
            gaze=bent(gaze[None], SHOWN_GAZE_RAD, ROOM_GAZE_RAD).astype(np.float32),
            rotation=limited_turn(rotation[None]),
        )  # fmt: skip

    def _listen(self) -> None:
        while not self._ends.is_set():
            with contextlib.suppress(TimeoutError, ConnectionError):  # the latter: what Windows tells of replies
                data, sender = self._socket.recvfrom(LARGEST + 1)
                self._take(data, str(sender))

    def _take(self, data: bytes, sender: str) -> None:
        now = self._now()
        if self._leader not in (None, sender) and now - self._came_s <= LOST_S:
            self.n_bad += 1
            return
        try:
            packet = decode(data)
        except MotionError:
            self.n_bad += 1
            return
        if packet.values is not None:
            if self._leader is None:
                logger.info("%s (%s) moves the face", packet.subject, sender)
            self._leader = sender
            self._latest, self._came_s = packet.values, now
            self.n_packets += 1


def _held(angles: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return what of angles is taken off: all of them where the performer was turned aside while at rest."""
    return angles if np.abs(angles).max() > HELD_RAD else np.zeros_like(angles)

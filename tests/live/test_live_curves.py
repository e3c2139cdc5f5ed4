"""Curves of a live face over real sockets: out to other programs, and in from a phone."""

from __future__ import annotations

import json
import socket
import threading
import time
from itertools import islice

import numpy as np
import pytest
from conftest import EXAMPLES

from portrait_anim.audio.load import load_audio
from portrait_anim.config import FPS
from portrait_anim.errors import OptionError, OutputError
from portrait_anim.live.curves_out import UdpCurves, WebCurves, open_curves, split_address
from portrait_anim.live.engine import LiveFace
from portrait_anim.live.frame import LiveFrame
from portrait_anim.live.phone import LOST_S, Phone
from portrait_anim.motion.arkit import FACE, VALUES
from portrait_anim.motion.arkit_live import LiveValues
from portrait_anim.motion.livelink_packet import decode, encode
from portrait_anim.motion.metrics import correlation
from portrait_anim.motion.space import Motion, MotionSpace

pytestmark = pytest.mark.media

DEVICE = "12345678-1234-1234-1234-123456789ABC"


@pytest.fixture(scope="module")
def spoken() -> list[LiveFrame]:
    """Three seconds of a live face."""
    face = LiveFace(EXAMPLES / "astronaut.jpg", sample_rate=16_000, max_size=160, seed=3)
    face.feed(load_audio(EXAMPLES / "speech.flac")[: 3 * 16_000], 16_000)
    face.end_of_speech()
    return [face.step(draw=False) for _ in range(75)]


@pytest.fixture(scope="module")
def space() -> MotionSpace:
    return MotionSpace.from_weights()


def whole(frames: list[LiveFrame]) -> Motion:
    tracks = [frame.motion.tracks() for frame in frames]
    return Motion(**{name: np.concatenate([one[name] for one in tracks]) for name in tracks[0]})


def gaps(space: MotionSpace, motion: Motion) -> np.ndarray:
    moved = space.displacement(motion, slice(None))
    return moved[:, 13, 1] - moved[:, 14, 1]


def packet(values: dict[str, float], subject: str = "phone") -> bytes:
    full = dict.fromkeys(VALUES, 0.0) | values
    return encode(full, device=DEVICE, subject=subject, number=1, fps=60)


def test_values_frame_by_frame_are_those_of_a_whole_motion(spoken: list[LiveFrame], space: MotionSpace) -> None:
    exact = whole(spoken).to_arkit(space)
    live = LiveValues(space)
    start = time.process_time()
    made = [live(frame.motion) for frame in spoken]
    assert (time.process_time() - start) / len(made) < 0.04  # a frame; 2 ms when nothing else runs
    values = {name: np.array([one[name] for one in made]) for name in VALUES}
    assert np.mean([np.abs(values[name] - exact[name]).mean() for name in FACE]) < 0.02
    truth = gaps(space, whole(spoken))
    assert np.abs(gaps(space, Motion.from_arkit(values)) - truth).mean() < 0.004  # IOD; of the whole fit .0026
    assert correlation(np.array([one["JawOpen"] for one in made]), exact["JawOpen"]) > 0.9
    np.testing.assert_allclose([one["HeadYaw"] for one in made], exact["HeadYaw"], atol=1e-6)


def test_packets_arrive_as_they_were_sent(spoken: list[LiveFrame], space: MotionSpace) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.settimeout(5)
        curves = open_curves(f"udp://127.0.0.1:{ear.getsockname()[1]}", space)
        assert isinstance(curves, UdpCurves)
        live = LiveValues(space)
        for frame in spoken[:30]:
            curves.write(frame)
            got = decode(ear.recv(2048))
            wanted = live(frame.motion)
            assert got.values is not None
            assert got.fps == FPS
            np.testing.assert_allclose([got.values[n] for n in VALUES], [wanted[n] for n in VALUES], atol=1e-6)
        curves.close()


def test_a_websocket_tells_everybody_and_ends(spoken: list[LiveFrame], space: MotionSpace) -> None:
    client = pytest.importorskip("websockets.sync.client", reason="needs the extra curves")
    before = threading.active_count()
    curves = WebCurves("127.0.0.1", 0, space)
    address = f"ws://127.0.0.1:{curves.port}"
    with client.connect(address) as one, client.connect(address) as other:
        for _ in range(50):
            if len(curves._all) == 2:
                break
            time.sleep(0.05)
        for frame in spoken[:25]:
            curves.write(frame)
        live = LiveValues(space)
        for ear in (one, other):
            told = [json.loads(ear.recv(timeout=5)) for _ in range(25)]
            assert [one["time"] for one in told] == [round(frame.time_s, 3) for frame in spoken[:25]]
        wanted = [live(frame.motion)["JawOpen"] for frame in spoken[:25]]
        np.testing.assert_allclose([one["blendshapes"]["jawOpen"] for one in told], wanted, atol=1e-4)
        assert len(told[0]["blendshapes"]) == len(FACE)
        assert set(told[0]["head"]) == {"yaw", "pitch", "roll"}
        assert told[0]["synthetic"] is True
        with pytest.raises(OutputError, match="another port"):
            WebCurves("127.0.0.1", curves.port, space)
    curves.write(spoken[0])  # nobody is left
    curves.close()
    assert threading.active_count() == before


def test_a_phone_moves_the_photo_and_when_it_is_lost_the_face_goes_on_by_itself() -> None:
    phone = Phone("127.0.0.1", 0)
    face = LiveFace(EXAMPLES / "astronaut.jpg", sample_rate=16_000, max_size=160, seed=3)

    def opening(frame: LiveFrame) -> float:
        return float(gaps(face.space, frame.motion)[0])

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        lips = []
        for i in range(70):
            open_ = 0.04 + 0.6 * max(0.0, np.sin(i / 4)) * (i > 30)
            values = {"JawOpen": open_, "HeadYaw": 0.1 * (i > 30), "EyeBlinkLeft": float(i > 60)}
            sender.sendto(packet(values), ("127.0.0.1", phone.port))
            while phone.n_packets <= i:
                time.sleep(0.001)
            face.follow(phone.motion())
            lips.append(opening(face.step(draw=False)))
        aim = [0.6 * max(0.0, np.sin(i / 4)) for i in range(32, 70)]
        assert correlation(np.array(lips[32:]), np.array(aim)) > 0.95
        assert max(np.abs(lips[20:30])) < 0.01  # what the phone reads of a face at rest is taken off
        last = face.step(draw=False)
        assert last.motion.blink[0, 1] == pytest.approx(1.0)
        assert last.motion.rotation[0, 1] != 0
        time.sleep(LOST_S + 0.05)
        assert phone.motion() is None
        face.follow(None)
        after = [face.step(draw=False) for _ in range(20)]
        steps = np.abs(np.diff([opening(one) for one in after]))
        assert steps.max() < 0.05
        assert abs(opening(after[-1])) < 1e-6
    phone.close()


def test_malformed_packets_are_counted_and_one_phone_leads() -> None:
    before = threading.active_count()
    phone = Phone("127.0.0.1", 0)
    to = ("127.0.0.1", phone.port)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        for data in (b"", b"x", packet({"JawOpen": np.nan}), bytes(2000), packet({})[:-4]):
            one.sendto(data, to)
        one.sendto(packet({"JawOpen": 0.5}), to)
        other.sendto(packet({"JawOpen": 0.9}), to)
        for _ in range(100):
            if phone.n_packets + phone.n_bad == 7:
                break
            time.sleep(0.02)
        assert (phone.n_packets, phone.n_bad) == (1, 6)
        assert phone._latest is not None
        assert phone._latest["JawOpen"] == pytest.approx(0.5)
    with pytest.raises(OptionError, match="another port"):
        Phone("127.0.0.1", phone.port)
    phone.close()
    assert threading.active_count() == before


def test_addresses() -> None:
    assert split_address("udp://127.0.0.1:11111") == ("udp", "127.0.0.1", 11111)
    assert split_address("ws://[::1]:9000") == ("ws", "::1", 9000)
    for wrong in ("127.0.0.1:11111", "http://a:1", "udp://a", "udp://:5", "udp://a:99999", "udp://a:1/path"):
        with pytest.raises(OptionError):
            split_address(wrong)
    with pytest.raises(OutputError):
        open_curves("udp://no-such-host.invalid:11111", MotionSpace.from_weights())
    assert list(islice(FACE, 1)) == ["EyeBlinkLeft"]

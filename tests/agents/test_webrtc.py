"""The example bot for Pipecat, asked by a WebRTC client as a browser is one: what arrives is looked at."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import EXAMPLES

pytest.importorskip("pipecat", reason="needs the extra pipecat: pip install -c constraints-live.txt '.[pipecat]'")
pytest.importorskip("aiortc", reason="needs the extra pipecat")

from aiohttp import ClientSession, web
from aiortc import RTCPeerConnection, RTCSessionDescription

from portrait_anim.face.crops import crop_of
from portrait_anim.face.detect import shared_landmarker
from portrait_anim.provenance.watermark import read_mark

pytestmark = pytest.mark.media

SPEECH_S = 8.4  # of the file that the bot plays
LOUD = 100  # mean of 16-bit samples in 20 ms


@pytest.fixture
def bot() -> Any:
    sys.path.insert(0, str(EXAMPLES))
    import pipecat_bot

    yield pipecat_bot
    sys.path.remove(str(EXAMPLES))


def level(frame: Any) -> float:
    return float(np.abs(frame.to_ndarray().astype(np.float32)).mean())


async def call(bot: Any, port: int) -> dict[str, list[tuple[float, Any]]]:
    """Call the bot and return the frames that came, with their times."""
    runner = web.AppRunner(bot.app(EXAMPLES / "astronaut.jpg", "en", EXAMPLES / "speech.flac"))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    client, got, taking = RTCPeerConnection(), {"audio": [], "video": []}, []

    @client.on("track")
    def on_track(track: Any) -> None:
        async def take() -> None:
            while True:
                frame = await track.recv()
                got[track.kind].append((time.monotonic(), frame))

        taking.append(asyncio.create_task(take()))

    client.addTransceiver("audio")
    client.addTransceiver("video", direction="recvonly")
    client.createDataChannel("chat")
    await client.setLocalDescription(await client.createOffer())
    own = client.localDescription
    async with ClientSession() as session:
        body = json.dumps({"sdp": own.sdp, "type": own.type})
        async with session.post(f"http://127.0.0.1:{port}/offer", data=body) as answer:
            other = await answer.json()
    await client.setRemoteDescription(RTCSessionDescription(other["sdp"], other["type"]))
    end = time.monotonic() + 90
    while time.monotonic() < end and sum(level(one) > LOUD for _, one in got["audio"]) < 50 * 0.6 * SPEECH_S:
        await asyncio.sleep(0.5)
    while time.monotonic() < end and any(level(one) > LOUD for _, one in got["audio"][-100:]):
        await asyncio.sleep(0.5)
    for one in taking:
        one.cancel()
    await client.close()
    await asyncio.sleep(1)
    left = [task for task in asyncio.all_tasks() if "talk" in repr(task)]
    await asyncio.wait_for(asyncio.gather(*left), 30)  # hanging up ends the call
    await runner.cleanup()
    return got


def test_the_example_bot_speaks_over_webrtc(bot: Any, free_port: int, tmp_path: Path) -> None:
    got = asyncio.run(call(bot, free_port))
    loud = [at for at, frame in got["audio"] if level(frame) > LOUD]
    assert loud[-1] - loud[0] > 0.9 * SPEECH_S
    pictures = [(at, frame.to_ndarray(format="rgb24")) for at, frame in got["video"]]
    assert len(pictures) > 100
    assert read_mark([image for _, image in pictures]).found  # through VP8
    nets = shared_landmarker().nets
    face = shared_landmarker().detect(pictures[-1][1])[0]
    lips = []
    for at, image in pictures[::2]:
        seen = nets.place(image, crop_of(face.landmarks))
        iod = np.linalg.norm(face.landmarks[33, :2] - face.landmarks[263, :2])
        lips.append((at, 0.0 if seen is None else float(np.linalg.norm(seen.landmarks[13] - seen.landmarks[14]) / iod)))
    spoken = [lip for at, lip in lips if loud[0] < at < loud[-1]]
    quiet = [lip for at, lip in lips if at > loud[-1] + 0.6]
    assert np.std(spoken) > 3 * np.std(quiet)
    assert max(spoken) > max(quiet) + 0.05

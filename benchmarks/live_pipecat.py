"""A call by Pipecat's SmallWebRTC in one process, interrupted while the face speaks; used by live.py."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np
from aiortc import RTCPeerConnection, RTCSessionDescription
from pipecat.frames.frames import Frame, InterruptionFrame, TTSAudioRawFrame, TTSStartedFrame, TTSStoppedFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.transports.base_transport import TransportParams
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection
from pipecat.transports.smallwebrtc.transport import SmallWebRTCTransport
from pipecat.workers.runner import WorkerRunner

from portrait_anim import LiveFace
from portrait_anim.agents.pipecat import PortraitVideoService
from portrait_anim.agents.samples import as_bytes
from portrait_anim.config import SAMPLE_RATE
from portrait_anim.face.crops import crop_of
from portrait_anim.face.detect import shared_landmarker
from portrait_anim.live.frame import LiveFrame

N_TIMES = 5
SPEAKS_S, QUIET_S = 2.5, 1.5  # until it is interrupted, and then
LOUD = 200  # 16-bit samples, mean of a frame
SHUT_IOD = 0.02  # between the lips, above what they are at rest
WAIT_S = 30.0


class Watched:
    """The face, whose frames are kept with their times."""

    def __init__(self, face: LiveFace) -> None:
        self.made: list[tuple[float, LiveFrame]] = []
        step = face.step

        def kept(*, draw: bool = True) -> LiveFrame:
            frame = step(draw=draw)
            self.made.append((time.monotonic(), frame))
            return frame

        face.step = kept  # type: ignore[method-assign]


async def _call(face: LiveFace, speech: np.ndarray) -> tuple[list[float], dict[str, list[tuple[float, Any]]]]:
    client, got, taking = RTCPeerConnection(), {"audio": [], "video": []}, []

    @client.on("track")
    def on_track(track: Any) -> None:
        async def take() -> None:
            while True:
                frame = await track.recv()
                kept = frame.to_ndarray() if track.kind == "audio" else frame.to_ndarray(format="rgb24")
                got[track.kind].append((time.monotonic(), kept))

        taking.append(asyncio.create_task(take()))

    client.addTransceiver("audio")
    client.addTransceiver("video", direction="recvonly")
    client.createDataChannel("chat")
    await client.setLocalDescription(await client.createOffer())
    connection = SmallWebRTCConnection()
    await connection.initialize(client.localDescription.sdp, client.localDescription.type)
    width, height = face.size
    transport = SmallWebRTCTransport(
        connection,
        TransportParams(
            audio_out_enabled=True, audio_out_sample_rate=face.sample_rate, audio_out_10ms_chunks=4,
            video_out_enabled=True, video_out_width=width, video_out_height=height, video_out_framerate=30,
        ),
    )  # fmt: skip
    worker = PipelineWorker(
        Pipeline([PortraitVideoService(face), transport.output()]),
        params=PipelineParams(audio_out_sample_rate=face.sample_rate), cancel_on_idle_timeout=False, enable_rtvi=False,
    )  # fmt: skip
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    answer = connection.get_answer()
    await client.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))
    end = time.monotonic() + WAIT_S
    while not got["video"] and time.monotonic() < end:
        await asyncio.sleep(0.1)
    interruptions = []
    frames: list[Frame]
    for _ in range(N_TIMES):
        frames = [TTSStartedFrame(), TTSAudioRawFrame(as_bytes(speech), SAMPLE_RATE, 1), TTSStoppedFrame()]
        await worker.queue_frames(frames)
        await asyncio.sleep(SPEAKS_S)
        interruptions.append(time.monotonic())
        await worker.queue_frame(InterruptionFrame())
        await asyncio.sleep(QUIET_S)
    await worker.cancel()
    await asyncio.wait_for(running, WAIT_S)
    for one in taking:
        one.cancel()
    await client.close()
    return interruptions, got


def barge_ins(face: LiveFace, speech: np.ndarray) -> tuple[tuple[list[float], list[float]], list[float]]:
    """Return ms from each interruption to the last frame of speech made, to lips that stay shut, to the last sound."""
    watched = Watched(face)
    interruptions, got = asyncio.run(_call(face, speech))
    finder = shared_landmarker()
    found = finder.detect(got["video"][0][1])[0]
    iod = float(np.linalg.norm(found.landmarks[33, :2] - found.landmarks[263, :2]))
    crop = crop_of(found.landmarks)

    def opening(image: np.ndarray) -> float:
        seen = finder.nets.place(image, crop)
        return 0.0 if seen is None else float(np.linalg.norm(seen.landmarks[13, :2] - seen.landmarks[14, :2])) / iod

    made, shut, silent = [], [], []
    for at in interruptions:
        spoken = [when for when, frame in watched.made if at < when < at + QUIET_S and frame.state == "speaking"]
        made.append(1000 * (max(spoken) - at) if spoken else 0.0)
        lips = [(when - at, opening(image)) for when, image in got["video"] if at - 0.5 < when < at + QUIET_S]
        rest = float(np.median([lip for when, lip in lips if when > 0.6]))
        open_ = [when for when, lip in lips if when > 0 and lip > rest + SHUT_IOD]
        shut.append(1000 * max(open_, default=0.0))
        loud = [when for when, sound in got["audio"] if at < when < at + QUIET_S and np.abs(sound).mean() > LOUD]
        silent.append(1000 * (max(loud) - at) if loud else 0.0)
    return (made, shut), silent

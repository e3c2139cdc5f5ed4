"""A bot with a face, in the browser: Pipecat, WebRTC, and a voice that needs no account.

    pip install -c constraints-live.txt '.[pipecat]'
    python examples/pipecat_bot.py [PHOTO] [--voice en] [--sound FILE] [--port 7862]

Open http://127.0.0.1:7862 and press Start. The bot says a sentence (by espeak-ng, or out of a sound file), and the
next one when you have said something; it falls silent at once when you speak. Between your words and its sentences a
real bot would have speech recognition and a language model; the face does not care.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncGenerator
from itertools import cycle
from pathlib import Path
from typing import Any

from aiohttp import web
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import (
    Frame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService
from pipecat.transports.base_transport import TransportParams
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection
from pipecat.transports.smallwebrtc.transport import SmallWebRTCTransport
from pipecat.workers.runner import WorkerRunner

from portrait_anim import LiveFace, say
from portrait_anim.agents.pipecat import PortraitVideoService
from portrait_anim.agents.samples import as_bytes
from portrait_anim.audio.load import load_audio

HERE = Path(__file__).parent
RATE = 24_000  # Hz
SENTENCES = (
    "Hello. I am a photo that speaks. Every picture of me is marked as synthetic.",
    "You may interrupt me whenever you like, and I will listen to you, and nod.",
    "My face is drawn on a plain processor, twenty-five times a second.",
)
PAGE = """<!doctype html><meta charset="utf-8"><title>A bot with a face</title>
<meta name="viewport" content="width=device-width"><body style="font:1rem sans-serif;text-align:center">
<video autoplay playsinline style="width:min(90vw,512px);background:#ddd"></video>
<p><button>Start</button> <span role="status">This face is synthetic.</span></p>
<script>
const [button, status] = [document.querySelector("button"), document.querySelector("span")];
button.onclick = async () => {
  button.disabled = true;
  try {
    const pc = new RTCPeerConnection(), video = document.querySelector("video");
    video.srcObject = new MediaStream();
    pc.ontrack = e => video.srcObject.addTrack(e.track);
    const mic = await navigator.mediaDevices.getUserMedia({audio: {echoCancellation: true}});
    pc.addTransceiver(mic.getTracks()[0]);
    pc.addTransceiver("video", {direction: "recvonly"});
    const channel = pc.createDataChannel("chat");
    setInterval(() => channel.readyState == "open" && channel.send("ping"), 1000);
    await pc.setLocalDescription();
    while (pc.iceGatheringState != "complete") await new Promise(r => setTimeout(r, 50));
    const answer = await fetch("/offer", {method: "POST", body: JSON.stringify(pc.localDescription)});
    await pc.setRemoteDescription(await answer.json());
  } catch (e) { status.textContent = "It did not work: " + e.message; button.disabled = false; }
};
</script>"""


class Speaker(TTSService):
    """Speaks texts by espeak-ng, or plays a file instead."""

    def __init__(self, voice: str, sound: Path | None) -> None:
        super().__init__(
            push_start_frame=True, push_stop_frames=True, sample_rate=RATE,
            settings=TTSSettings(model=None, voice=voice, language=None),
        )  # fmt: skip
        self._sound = sound

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame, None]:
        """Yield speech, all at once: the face plays it at the clock."""
        if self._sound is not None:
            samples, rate = await asyncio.to_thread(load_audio, self._sound), 16_000
        else:
            samples, rate = await asyncio.to_thread(say, text, voice=self._settings.voice)
        yield TTSAudioRawFrame(as_bytes(samples), rate, 1, context_id=context_id)


class Turns(FrameProcessor):
    """Says the next sentence when the user pauses; stops the bot when the user speaks."""

    def __init__(self) -> None:
        super().__init__()
        self._sentences = cycle(SENTENCES)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Take a frame in its turn."""
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, VADUserStartedSpeakingFrame):
            await self.push_frame(UserStartedSpeakingFrame())
            await self.broadcast_interruption()
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            await self.push_frame(UserStoppedSpeakingFrame())
            await self.push_frame(self.sentence())

    def sentence(self) -> TTSSpeakFrame:
        """Return the next thing to say."""
        return TTSSpeakFrame(next(self._sentences))


async def talk(connection: SmallWebRTCConnection, photo: Path, voice: str, sound: Path | None) -> None:
    """Run one call until the browser hangs up."""
    face = await asyncio.to_thread(LiveFace, photo, sample_rate=RATE, max_size=512, gaze="camera")
    width, height = face.size
    transport = SmallWebRTCTransport(
        connection,
        TransportParams(
            audio_in_enabled=True, audio_in_sample_rate=16_000, audio_out_enabled=True, audio_out_sample_rate=RATE,
            audio_out_10ms_chunks=4, video_out_enabled=True, video_out_is_live=False, video_out_width=width,
            video_out_height=height, video_out_framerate=30,  # the track stamps its pictures with 30 a second
        ),
    )  # fmt: skip
    turns = Turns()
    worker = PipelineWorker(
        Pipeline(
            [
                transport.input(),
                VADProcessor(vad_analyzer=SileroVADAnalyzer()),
                turns,
                Speaker(voice, sound),
                PortraitVideoService(face),
                transport.output(),
            ]
        ),
        params=PipelineParams(audio_in_sample_rate=16_000, audio_out_sample_rate=RATE), enable_rtvi=False,
    )  # fmt: skip

    @transport.event_handler("on_client_connected")
    async def on_connected(transport: SmallWebRTCTransport, client: Any) -> None:
        await worker.queue_frame(turns.sentence())

    @transport.event_handler("on_client_disconnected")
    async def on_gone(transport: SmallWebRTCTransport, client: Any) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


def app(photo: Path, voice: str, sound: Path | None) -> web.Application:
    """Return the page and what answers it."""
    calls: set[asyncio.Task[None]] = set()

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    async def offer(request: web.Request) -> web.Response:
        wanted = await request.json()
        connection = SmallWebRTCConnection()
        await connection.initialize(sdp=wanted["sdp"], type=wanted["type"])
        call = asyncio.create_task(talk(connection, photo, voice, sound))
        calls.add(call)
        call.add_done_callback(calls.discard)
        answer = connection.get_answer()
        return web.json_response({"sdp": answer["sdp"], "type": answer["type"]})

    served = web.Application()
    served.add_routes([web.get("/", page), web.post("/offer", offer)])
    return served


def main() -> None:
    """Serve the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path, nargs="?", default=HERE / "astronaut.jpg")
    parser.add_argument("--voice", default="en", help="of espeak-ng (en)")
    parser.add_argument("--sound", type=Path, help="a sound file that is played instead")
    parser.add_argument("--port", type=int, default=7862)
    args = parser.parse_args()
    web.run_app(app(args.photo, args.voice, args.sound), host="127.0.0.1", port=args.port)


if __name__ == "__main__":
    main()

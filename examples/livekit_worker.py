"""A worker that gives a LiveKit agent a face: it joins the agent's room, and speaks there in the agent's place.

    pip install -c constraints-live.txt '.[livekit]'
    LIVEKIT_URL=... LIVEKIT_API_KEY=... LIVEKIT_API_SECRET=... python examples/livekit_worker.py [PHOTO] [--voice en]

It needs a LiveKit server (LiveKit Cloud, or their open server on your machine). In place of a language model and
text-to-speech it says a sentence by espeak-ng every few seconds, through the same audio output that an
``AgentSession`` has. In your own agent, after ``session.start``:

    session.output.replace_audio_tail(audio)
"""

from __future__ import annotations

import argparse
import asyncio
import os
from itertools import cycle
from pathlib import Path

from livekit import api, rtc
from livekit.agents.voice.avatar import AvatarRunner, QueueAudioOutput

from portrait_anim import LiveFace, say
from portrait_anim.agents.livekit import PortraitVideoGenerator
from portrait_anim.agents.samples import as_bytes

RATE = 24_000  # Hz, of what the agent hears back
PAUSE_S = 3.0
SENTENCES = ("Hello. I am a photo that speaks.", "Every picture of me is marked as synthetic.")


async def speak(audio: QueueAudioOutput, voice: str) -> None:
    """Say sentences, as an agent's session would."""
    for sentence in cycle(SENTENCES):
        samples, rate = await asyncio.to_thread(say, sentence, voice=voice)
        for at in range(0, len(samples), rate // 10):
            data = as_bytes(samples[at : at + rate // 10])
            await audio.capture_frame(rtc.AudioFrame(data, rate, 1, len(data) // 2))
        audio.flush()
        await audio.wait_for_playout()
        await asyncio.sleep(PAUSE_S)


async def work(photo: Path, room_name: str, voice: str) -> None:
    """Join the room and speak until it closes."""
    face = LiveFace(photo, sample_rate=RATE, max_size=512)
    grants = api.VideoGrants(room_join=True, room=room_name)
    token = api.AccessToken().with_identity("portrait").with_name("Synthetic face").with_grants(grants).to_jwt()
    room = rtc.Room()
    await room.connect(os.environ["LIVEKIT_URL"], token)
    generator = PortraitVideoGenerator(face)
    audio = QueueAudioOutput(sample_rate=RATE, wait_playback_start=True)
    runner = AvatarRunner(room, audio_recv=audio, video_gen=generator, options=generator.options)
    await runner.start()
    speaking = asyncio.create_task(speak(audio, voice))
    try:
        await runner.wait_for_complete()
    finally:
        speaking.cancel()
        await runner.aclose()
        await room.disconnect()


def main() -> None:
    """Run the worker."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path, nargs="?", default=Path(__file__).parent / "astronaut.jpg")
    parser.add_argument("--room", default="portrait")
    parser.add_argument("--voice", default="en", help="of espeak-ng (en)")
    args = parser.parse_args()
    asyncio.run(work(args.photo, args.room, args.voice))


if __name__ == "__main__":
    main()

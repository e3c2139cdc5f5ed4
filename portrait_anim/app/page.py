"""The page in the browser: the same program with a form (extra ``app``: gradio)."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

from portrait_anim.errors import DependencyError, PortraitAnimError
from portrait_anim.options import AUTO, EMOTIONS, MAX_DURATION_S, WEIGHT_SETS
from portrait_anim.service.films import FilmQueue
from portrait_anim.service.jobs import DONE, FINISHED
from portrait_anim.service.requests import Limits, Sent, checked
from portrait_anim.system.files import temporary_prefix
from portrait_anim.video.target import default_output

KEEP_S = 3600  # s that the page's photos, sounds and films stay on the disk; at its end all are deleted
SWEEP_S = 300  # s from one search for older ones to the next
LOOK_S = 0.1  # s from one look at a film that is made to the next
OWN_LIMITS = Limits(pixels=178_000_000, side_px=8192, duration_s=MAX_DURATION_S)  # the page's users are at home
CONSENT = (
    "Animate real people only with their consent. No sexual, deceptive or defamatory use. "
    "Every film is marked as synthetic, in its pixels and by a signature."
)


class PageFilms(FilmQueue):
    """The service's queue in a temporary folder, which is deleted with it, at the latest when the program ends."""

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix=temporary_prefix(), ignore_cleanup_errors=True)
        super().__init__(self._temporary.name, keep_s=KEEP_S)

    def close(self) -> None:
        """End the work and delete everything."""
        super().close()
        self._temporary.cleanup()


def build() -> Any:
    """Return the page, a ``gradio.Blocks``; its attribute ``films`` is its queue, to be closed after the page.

    Its nets stay loaded. Photos, sounds and films are deleted after an hour, and all of them when the page ends.

    Raises:
        DependencyError: gradio is not installed.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # nothing about a photo leaves the machine
    try:
        import gradio as gr
    except ImportError as e:
        raise DependencyError('the page in the browser needs gradio: pip install "portrait-anim[app]"') from e

    def make(
        photo: str | None, sound: str | None, emotion: str, strength: float, head_motion: float, blinks: float,
        seed: float, weights: str, progress: Any = gr.Progress(),  # noqa: B008 (gradio's way)
    ) -> tuple[str, str]:  # fmt: skip
        if not photo or not sound:
            raise gr.Error("Give a photo and a sound.")
        choices = {
            "emotion": f"{emotion}:{strength:g}", "head_motion": head_motion, "blinks": blinks, "seed": int(seed),
            "weights": weights,
        }  # fmt: skip
        try:
            with Path(photo).open("rb") as picture, Path(sound).open("rb") as audio:
                sent = {"photo": [Sent(photo, picture)], "audio": [Sent(sound, audio)]}
                keywords, uploads = checked(choices, sent, OWN_LIMITS)
                films.forget_finished(but=1)  # the page has copied the film before: these are not needed
                job = films.add(keywords, uploads)
        except PortraitAnimError as e:
            raise gr.Error(str(e)) from e
        while films.get(job.id) is not None and job.state not in FINISHED:
            progress(job.share, desc=job.step or "waiting")
            time.sleep(LOOK_S)
        if job.state != DONE or job.film is None:
            raise gr.Error(job.error or job.state)
        film = films.film(job).rename(films.film(job).with_name(default_output(photo, [sound]).name))
        return str(film), "{duration_s:.2f} s, {n_frames} frames, {width}x{height}".format(**job.film)

    films = PageFilms()
    with gr.Blocks(title="portrait_anim", delete_cache=(SWEEP_S, KEEP_S)) as page:
        gr.Markdown(f"# One photo talks or sings\n{CONSENT}")
        with gr.Row():
            with gr.Column():
                photo = gr.Image(type="filepath", label="photo", sources=["upload", "clipboard"])
                sound = gr.Audio(type="filepath", label="speech or song", sources=["upload", "microphone"])
                emotion = gr.Dropdown([*EMOTIONS, AUTO], value="neutral", label="emotion")
                strength = gr.Slider(0, 1.5, 1.0, label="strength of the emotion")
                with gr.Accordion("more", open=False):
                    head_motion = gr.Slider(0, 2, 1.0, label="head motion")
                    blinks = gr.Slider(0, 3, 1.0, label="blinks")
                    seed = gr.Number(0, precision=0, minimum=0, label="seed")
                    weights = gr.Radio(list(WEIGHT_SETS), value="default", label="weights")
                start = gr.Button("Make the film", variant="primary")
            with gr.Column():
                film = gr.Video(label="film", interactive=False)
                said = gr.Markdown()

        given = [photo, sound, emotion, strength, head_motion, blinks, seed, weights]
        start.click(make, given, [film, said], api_name="animate", concurrency_limit=1)
    page.films = films
    return page

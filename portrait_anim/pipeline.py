"""Makes a film from one photo and the sound that moves it.

The parts, in their order:

photo -> faces -> scene ----------------------.
                  targets                      +-> draw -> marked frames -> writer -> signed film
sounds -> driver -> perform -> motions -------'
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any, Unpack

from portrait_anim import stages
from portrait_anim.animation import (
    Animation,
    Frame,
    Image,
    MotionsLike,
    PathLike,
    PhotoLike,
    Progress,
    SoundLike,
    SoundsLike,
    Steps,
    as_sounds,
)
from portrait_anim.config import FPS
from portrait_anim.drivers.base import Driver
from portrait_anim.drivers.choose import make_driver
from portrait_anim.drivers.stream import StreamDriver
from portrait_anim.drivers.voice import VoiceNets
from portrait_anim.face.detect import shared_landmarker
from portrait_anim.motion.space import Motion
from portrait_anim.options import (
    MAX_DURATION_S,
    Box,
    FilmChoices,
    FilmOptions,
    MotionChoices,
    MotionOptions,
    PhotoChoices,
    PhotoOptions,
    Which,
)
from portrait_anim.options.background import BackgroundLike
from portrait_anim.options.morph import MorphLike, check_end
from portrait_anim.options.names import photo_choices
from portrait_anim.provenance.marker import FilmMarker
from portrait_anim.provenance.record import Provenance
from portrait_anim.render.choose import shown_photo
from portrait_anim.video.writer import Writer


def animate(
    photo: PhotoLike,
    audio: SoundsLike | None = None,
    output: PathLike | None = None,
    *,
    actor: PathLike | None = None,
    actor_face: int | None = None,
    actor_neutral: float | None = None,
    lips: str = "auto",
    gaze: str | None = None,
    emotion: str | None = None,
    head_motion: float = 1.0,
    blinks: float = 1.0,
    seed: int = 0,
    face: Which = None,
    fps: float = FPS,
    max_duration: float = MAX_DURATION_S,
    max_size: int | None = None,
    weights: str = "default",
    device: str = "auto",
    landmarker: str = "facemesh",
    morph: MorphLike = None,
    morph_style: str = "face",
    background: BackgroundLike = "keep",
    aspect: str | None = None,
    fill: str | None = None,
    face_box: Box = None,
    label: str | None = None,
    sign_cert: PathLike | None = None,
    sign_key: PathLike | None = None,
    audit_log: PathLike | None = None,
    captions: PathLike | None = None,
    caption_style: str | None = None,
    karaoke: bool = False,
    caption_font: PathLike | None = None,
    motion: MotionsLike | None = None,
    idle: float | None = None,
    loop: bool = False,
    save_motion: PathLike | None = None,
    progress: Progress | None = None,
    overwrite: bool = False,
) -> Animation:
    """Make the face in ``photo`` speak or sing ``audio``, or act as ``actor`` does, and write the film.

    Options, output, photo and sound are checked before the speech nets are loaded. The same inputs and seed give the
    same frames on the same machine. The film is marked as synthetic, see :mod:`portrait_anim.provenance`.

    Args:
        photo: a path, a PIL image or an (H, W, 3) uint8 array.
        audio: a path (sound, or video with sound), ``(samples, rate)``, or what :func:`portrait_anim.say` gives;
            a list of them for a duet, one for each face from the left (or those of ``face``), mixed. None: the actor's
            own; with ``motion``, silence.
        output: the .mp4 to write; default: PHOTO_AUDIO.mp4 (or PHOTO_ACTOR, PHOTO_MOTION) in the working directory.
            With background ``"none"`` NAME.webm (the default), NAME.mov, or a folder's name for PNG pictures.
        actor: a video whose face moves the photo's; with ``audio`` all but the lips, which follow the voice.
        actor_face: which face of several in it, from the left in the first frame with any; default: the largest.
        actor_neutral: s, a moment at which the actor's face is at rest; default: found.
        lips: ``"actor"`` or ``"voice"``, if not as said above.
        gaze: where the eyes look: ``"camera"``, ``"photo"`` (a voice's default) or ``"actor"`` (an actor's default).
        emotion: neutral, happy, sad, angry, surprised, fearful, disgusted or auto (follows the voice), with a strength
            ``"sad:0.6"`` (0 to 1.5) and times ``"happy@0-4,sad:0.6@4-"`` (s).
        head_motion: 0 (perfectly still) to 2 (lively).
        blinks: 0 (none) to 3, times the natural rate.
        seed: of blinks, gaze and head motion, at least 0.
        fps: frames/s of the film, 1 to 60.
        face: which face of several, counted from the left, from 1; some as (1, 3); ``"all"``; default: the largest.
        max_duration: s; a longer sound is refused. Default 3 h; an hour needs 0.3 GB for temporary files.
        max_size: limit of the picture's longer side in px, at least 64; default: the photo's own size.
        weights: ``"default"`` or ``"open"``.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``, for the speech nets.
        landmarker: ``"facemesh"`` or ``"face-alignment"``.
        morph: other faces that the face becomes along the film, ``"second.jpg@12.5,third.jpg@20:1.5"`` (photo@second,
            length of the change in s, default 0.8; ``name.jpg#2``: the second face from the left), the path of an .lrc
            file with lines ``[00:12.50]second.jpg``, or ``(photo, second[, length])`` tuples.
        morph_style: ``"face"`` (the first photo's hair, body and room stay) or ``"photo"`` (everything changes).
        background: what is behind the people: ``"keep"``, ``"none"`` (transparent), ``"blur"``, a colour ``"#00b140"``,
            a picture (path, PIL image, array), or a video, which plays over and over; both fill the frame.
        aspect: the film's width to height: ``"9:16"``, ``"1:1"``, ``"4:5"``, ``"16:9"``; default: the photo's own.
        fill: with it: ``"crop"``, ``"blur"``, a colour ``"#202020"``; default: crop where no head is cut, else blur.
        face_box: (x, y, width, height) px of the face in the photo, upright: it is taken there, whatever is found.
        label: a visible label: ``"auto"``, ``"eu"``, ``"cn"`` or a text.
        sign_cert: PEM certificate chain that signs the film; default: this machine's own.
        sign_key: its PEM key.
        audit_log: a file that gets a line for this film.
        captions: lines with times: .srt, .vtt, .lrc, or .json with a time for every word; docs/formats.md.
        caption_style: ``"track"`` (players show it; the default) or ``"burned"`` (in the pixels, never over a mouth).
        karaoke: burned, and words change their colour when they are said.
        caption_font: a font file for burned captions; default: one of this machine's that has the letters.
        motion: a motion file (.npz of ``save_motion``, .csv of Live Link Face) or a :class:`Motion` that moves the face
            instead of the voice; a list: one for each face.
        idle: s; a silent film of a face that waits, blinks and breathes, instead of a sound.
        loop: the film's last frame goes over into its first.
        save_motion: an .npz (all of the motion) or .csv (ARKit's values) to write the motion to; several faces:
            NAME-1.npz, NAME-2.npz, ...
        progress: called as ``progress(frames_done, frames_total)`` after every frame; one with three parameters also
            before and after the other steps, as ``progress(step, done, total)``: reading, listening, drawing, signing.
        overwrite: replace a film that is already there.

    Raises:
        PortraitAnimError: every error is one of its kinds, see :mod:`portrait_anim.errors`; no file is left then.
    """
    options = FilmOptions(
        emotion, head_motion, blinks, seed, fps, max_duration, actor, actor_face, actor_neutral, lips, motion, gaze,
        label=label, sign_cert=sign_cert, sign_key=sign_key, audit_log=audit_log, save_motion=save_motion,
        captions=captions, caption_style=caption_style, karaoke=karaoke, caption_font=caption_font,
        idle=idle, loop=loop,
    )  # fmt: skip
    seen = PhotoOptions(
        face, max_size, weights, device, landmarker, morph, morph_style, background, aspect, fill, face_box
    )
    sounds = as_sounds(audio)
    output = stages.output_of(photo, sounds, output, options, overwrite=overwrite, transparent=seen.behind.transparent)
    animator = Animator(photo, **photo_choices(seen, len(options.motions) or len(sounds)))
    return animator._film(sounds, output, options, Steps(progress), overwrite=overwrite)


class Animator:
    """One photo, for several films; the speech nets are loaded once a process, with the first of them.

    Args:
        photo: as in :func:`animate`.
        choices: those of :class:`PhotoOptions` (face, max_size, weights, ..., fill), as in :func:`animate`.

    Attributes:
        photo: the picture.
        faces: those in it that move.
    """

    def __init__(self, photo: PhotoLike, **choices: Unpack[PhotoChoices]) -> None:
        options = PhotoOptions(**choices)
        self._given = photo
        finder = shared_landmarker(options.landmarker)
        self.photo, self.faces = shown_photo(photo, finder, options)
        self._scene, self._changes = stages.scene_of(self.photo, self.faces, finder, options), options.changes
        self._transparent = options.behind.transparent
        self._targets = stages.targets_of(self.faces, self._scene)
        self._nets = VoiceNets(options.weights, options.device)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the frames in px."""
        return self.photo.size

    def animate(
        self,
        audio: SoundsLike | None = None,
        output: PathLike | None = None,
        *,
        progress: Progress | None = None,
        overwrite: bool = False,
        **choices: Unpack[FilmChoices],
    ) -> Animation:
        """Write the film of ``audio``; keywords as in :func:`animate`."""
        return self._film(as_sounds(audio), output, FilmOptions(**choices), Steps(progress), overwrite=overwrite)

    def frames(self, audio: SoundsLike | None = None, **choices: Unpack[MotionChoices]) -> Generator[Image, None, None]:
        """Return the film's marked frames one by one, (H, W, 3) uint8 RGB, as they are before encoding.

        With background ``"none"`` they are (H, W, 4): the colours themselves and their opacity; live ones too.
        Keywords as in :func:`animate`, those of :class:`MotionOptions`: emotion, head_motion, ..., loop. Memory
        hardly grows with the sound: what is long lies in temporary files (docs/speed.md).
        """
        options = MotionOptions(**choices)
        driver = make_driver(as_sounds(audio), len(self.faces), self._nets, options)
        check_end(self._changes, driver.duration_s, self._given if options.loop else None)
        record = Provenance.of(self._scene.facts, driver.facts(options), options)
        marker = record.marker(self._scene.still, stages.frame_rate(options))
        motions = stages.perform(driver, self._targets, options, self._scene)
        return stages.pixels_of(stages.draw(motions, self._nets.space, self._scene, marker))

    def motions(self, audio: SoundsLike | None = None, **choices: Unpack[MotionChoices]) -> tuple[Motion, ...]:
        """Return how each face moves to ``audio``, without rendering; keywords as in :meth:`frames`."""
        options = MotionOptions(**choices)
        driver = make_driver(as_sounds(audio), len(self.faces), self._nets, options)
        return stages.perform(driver, self._targets, options, self._scene)

    def live(
        self,
        pieces: Iterable[Any],
        *,
        head_motion: float = 1.0,
        blinks: float = 1.0,
        seed: int = 0,
        gaze: str | None = None,
    ) -> Generator[Image, None, None]:
        """Return marked frames at 25 fps while the sound still comes, each 120 ms to 200 ms after its sound.

        Args:
            pieces: of the sound at 16 kHz, each of any length; they are asked for as frames are taken. Floats with
                full scale 1, integers, lists, or bytes of 16-bit samples: see :class:`waveform.PieceReader`.
            head_motion: 0 (perfectly still) to 2 (lively).
            blinks: 0 (none) to 3, times the natural rate.
            seed: of blinks, gaze and head motion.
            gaze: ``"camera"`` or ``"photo"``; default: photo.
        """
        options = MotionOptions(None, head_motion, blinks, seed, gaze=gaze)
        looks = stages.gazes(self._scene, options)

        def frames() -> Generator[Frame, None, None]:
            driver = StreamDriver(self._targets, self._nets, options)

            def marker() -> FilmMarker:
                return Provenance.of(self._scene.facts, driver.facts(), options).marker(self._scene.still, FPS)

            yield from stages.stream(driver, self._nets.space, self._scene, marker, pieces, looks)

        return stages.pixels_of(frames())

    def _film(
        self, given: list[SoundLike], output: PathLike | None, options: FilmOptions, step: Steps, *, overwrite: bool
    ) -> Animation:
        driver, film = self._begin(given, output, options, step, overwrite=overwrite)
        writer = Writer(*film.file, **film.about)
        step("listening", 0, len(given))
        motions = stages.perform(driver, self._targets, options, self._scene)
        del driver  # 0.3 GB of temporary files an hour, and the film is still to be drawn
        step("listening", len(given), len(given))
        drawn = stages.draw(motions, self._nets.space, self._scene, film.marker)
        stages.write_film(motions, self._nets.space, drawn, writer, film.record, film.saved, step)
        n_frames, fps = len(motions[0]), stages.frame_rate(options)
        return Animation(writer.path, n_frames, n_frames / fps, fps, self.size, motions, options.seed)

    def _begin(
        self, given: list[SoundLike], output: PathLike | None, options: FilmOptions, step: Steps, *, overwrite: bool
    ) -> tuple[Driver, stages.Begun]:
        target = stages.output_of(
            self._given, given, output, options, overwrite=overwrite, transparent=self._transparent
        )
        inputs = (self._given, *given, *options.motions)
        saved = stages.motion_files(options, inputs, len(self.faces), overwrite=overwrite)
        over = stages.Overlays(options, self.size)
        step("reading", 0, len(given))
        driver = make_driver(given, len(self.faces), self._nets, options)
        check_end(self._changes, driver.duration_s, self._given if options.loop else None)
        step("reading", len(given), len(given))
        record = Provenance.of(self._scene.facts, over.captions.facts(driver.facts(options)), options, target)
        painter = over.fit(self.faces, driver.duration_s)
        marker = record.marker(self._scene.still, stages.frame_rate(options), painter)
        file = (target, self.size, options.fps, [sound.film for sound in driver.sounds])
        about = {
            "overwrite": overwrite, "metadata": record.metadata, "captions": over.captions.track,
            "before_rename": record.finish, "transparent": self._transparent,
        }  # fmt: skip
        return driver, stages.Begun(record, marker, saved, file, about)

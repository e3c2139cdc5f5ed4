"""How well the marks survive: films x attacks, false alarms, cost and visibility.

    PYTHONPATH=. python benchmarks/provenance.py [--animated | --films FILM...] [--only PART...] [--rivagan FOLDER]
        [--quick] [--json OUT]

The films are stills, paintings, dark and flat pictures that zoom slowly under a fixed mark, and real clips with a
mark put over them; all pass through the product's own ``Provenance`` and ``Writer``. With ``--animated`` they are
talking films that ``Animator`` makes of the stills, half of them darkened too; ``--films`` attacks finished films.
``--rivagan`` names a folder with invisible-watermark==0.2.0 and onnxruntime in it (``pip install --target FOLDER
--no-deps ...``) to compare with. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
from PIL import Image, ImageDraw, ImageFont

from portrait_anim import Animator
from portrait_anim.errors import PhotoError
from portrait_anim.provenance.manifest import read_manifest
from portrait_anim.provenance.reading import MAX_WORDS, read_mark
from portrait_anim.provenance.record import Provenance
from portrait_anim.provenance.verify import verify
from portrait_anim.provenance.watermark import FrameMarker
from portrait_anim.system.ffmpeg import ffmpeg_exe
from portrait_anim.system.opencv import cv2
from portrait_anim.video.reader import read_frames
from portrait_anim.video.writer import Writer

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
SPEECH = Path(__file__).resolve().parent.parent / "examples" / "speech.flac"
FPS = 25
Frame = npt.NDArray[np.uint8]
Frames = list[Frame]

_HALF = "scale=trunc(iw/4)*2:trunc(ih/4)*2"
_CROP10 = "crop=trunc(iw*.9/2)*2:trunc(ih*.9/2)*2:iw*.07:ih*.03"
_CROP25 = "crop=trunc(iw*.75/2)*2:trunc(ih*.75/2)*2:iw*.2:ih*.07"
_BARE = ("-map_metadata", "-1", "-bitexact")
# name -> (file ending, ffmpeg arguments after the input)
ATTACKS: dict[str, tuple[str, tuple[str, ...]]] = {
    "none": ("mp4", ()),
    "metadata stripped (copy)": ("mp4", ("-c", "copy", *_BARE)),
    "H.264 CRF 23": ("mp4", ("-crf", "23")),
    "H.264 CRF 28": ("mp4", ("-crf", "28")),
    "H.264 CRF 33": ("mp4", ("-crf", "33")),
    "H.265 CRF 28": ("mp4", ("-c:v", "libx265", "-preset", "veryfast", "-x265-params", "log-level=none")),
    "VP9 CRF 36": ("webm", ("-c:v", "libvpx-vp9", "-crf", "36", "-b:v", "0", "-cpu-used", "8", "-an")),
    "half size": ("mp4", ("-vf", _HALF)),
    "CRF 28 + half size + stripped": ("mp4", ("-vf", _HALF, "-crf", "28", *_BARE)),
    "crop 10 %": ("mp4", ("-vf", _CROP10)),
    "crop 25 %": ("mp4", ("-vf", _CROP25)),
    "crop 25 % + back to size": ("mp4", ("-vf", _CROP25 + ",scale=trunc(iw/.75/2)*2:trunc(ih/.75/2)*2")),
    "mirrored": ("mp4", ("-vf", "hflip")),
    "15 frames/s": ("mp4", ("-r", "15")),
    "1 s excerpt": ("mp4", ("-ss", "0.7", "-t", "1")),
    "screenshot PNG": ("png", ("-vf", "select=eq(n\\,20)", "-frames:v", "1", "-update", "1")),
    "screenshot JPEG q70": ("jpg", ("-vf", "select=eq(n\\,20)", "-frames:v", "1", "-update", "1")),
    "brightness +.1": ("mp4", ("-vf", "eq=brightness=.1")),
    "contrast 1.3": ("mp4", ("-vf", "eq=contrast=1.3")),
    "blur sigma 1": ("mp4", ("-vf", "gblur=sigma=1")),
    "noise 10": ("mp4", ("-vf", "noise=alls=10:allf=t")),
    "overlay text": ("mp4", ("-filter_complex", "overlay=(W-w)/2:H*.72")),
    "screen recording": ("mp4", ("-vf", "scale=trunc(iw*.665)*2:-2,eq=gamma=1.15,noise=alls=6:allf=t", "-crf", "26")),
}
QUICK = ("none", "H.264 CRF 33", "CRF 28 + half size + stripped", "crop 25 %", "mirrored", "screenshot JPEG q70")


def picture(path: Path, side: int = 512) -> Frame:
    image = Image.open(path).convert("RGB")
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(image)


def zooming(still: Frame, n_frames: int) -> Frames:
    """A still under a slow zoom of 2 %: the host moves, the mark does not."""
    height, width = still.shape[:2]
    frames = []
    for i in range(n_frames):
        k = 1 + 0.02 * i / n_frames
        matrix = np.array([[k, 0, (1 - k) * width / 2], [0, k, (1 - k) * height / 2]])
        moved = cv2.warpAffine(still, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
        frames.append(np.asarray(moved, np.uint8))
    return frames


def flat_scene(dark: bool) -> Frame:
    """A face-like oval before a smooth sky."""
    y, x = np.mgrid[:512, :512]
    sky = np.stack([120 + x * 0.05, 160 + y * 0.06, 215 + 0 * x], axis=2).astype(np.float32)
    cv2.ellipse(sky, (256, 280), (110, 150), 0, 0, 360, (205, 160, 135), -1)
    sky = cv2.GaussianBlur(sky, (0, 0), 2)
    return np.clip(sky * (0.2 if dark else 1), 0, 255).astype(np.uint8)


def clip(path: Path, n_frames: int, side: int = 512) -> Frames:
    frames = []
    for frame in read_frames(path):
        factor = min(1.0, side / max(frame.shape[:2]))
        size = (round(frame.shape[1] * factor), round(frame.shape[0] * factor))
        frames.append(np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8))
        if len(frames) == n_frames:
            break
    return frames


def stills() -> list[Path]:
    """Pictures of people, photographed and painted, at least 256 px wide and high."""
    paths = sorted((DATA / "public_domain").glob("*.jpg")) + sorted((DATA / "stills").glob("*.jpg"))
    return [path for path in paths if min(Image.open(path).size) >= 256]


def is_painting(path: Path) -> bool:
    return path.parent.name == "public_domain" or path.stem.startswith("art")


def scenes(quick: bool) -> Iterator[tuple[str, str, Frames]]:
    """Name, kind and frames of every test film."""
    n_frames = 50
    pictures = stills()
    for i, path in enumerate(pictures[:: 6 if quick else 1]):
        kind = "painting" if is_painting(path) else "photo"
        still = picture(path)
        yield path.stem, kind, [still] * n_frames if i % 2 else zooming(still, n_frames)
    for path in pictures[4 : 5 if quick else 8]:
        yield f"{path.stem} dark", "dark", [(picture(path) * 0.12).astype(np.uint8)] * n_frames
    for dark in (False,) if quick else (False, True):
        yield f"flat{' dark' if dark else ''}", "flat", [flat_scene(dark)] * n_frames
    folders = ("demo_hd", "syllables_hd") if quick else ("demo_hd", "syllables_hd", "politician", "japanese")
    for folder in folders:
        for path in sorted((DATA / "av_multi" / folder).glob("*.mp4"))[: 1 if quick else 3]:
            yield path.stem, "real clip", clip(path, n_frames)


def make_film(path: Path, frames: Frames) -> tuple[int, float]:
    """Write the film as the product does; return its content id and the PSNR of marked to unmarked frames."""
    tone = (np.sin(np.arange(16000 * len(frames) // FPS) * 0.2) * 0.1).astype(np.float32)
    provenance = Provenance(frames[0], (tone, 16000), seed=1, models={"none": "0" * 64})
    marker = provenance.marker(frames[0], FPS)
    error = 0.0
    size = (frames[0].shape[1], frames[0].shape[0])
    options: dict[str, Any] = {"metadata": provenance.metadata, "before_rename": provenance.finish, "overwrite": True}
    with Writer(path, size, FPS, (tone, 16000), threads=1, **options) as writer:
        for i, frame in enumerate(frames):
            marked = marker.mark(frame, i)
            error += float(np.mean((marked.astype(np.float32) - frame) ** 2)) / len(frames)
            writer.write(marked)
    return provenance.content_id, float(10 * np.log10(255**2 / error))


def caption(path: Path) -> None:
    image = Image.new("RGBA", (220, 40), (0, 0, 0, 0))
    ImageDraw.Draw(image).text((4, 4), "Watch this now!", fill=(255, 255, 0, 255), font=ImageFont.load_default(26))
    image.save(path)


def attacked(film: Path, name: str, folder: Path) -> Path:
    ending, arguments = ATTACKS[name]
    if name == "none":
        return film
    result = folder / f"attacked.{ending}"
    inputs = ["-i", str(film)]
    if name == "overlay text":
        inputs += ["-i", str(folder / "caption.png")]
    command = [ffmpeg_exe(), "-v", "error", "-y", *inputs, *arguments]
    if name == "screenshot JPEG q70":
        still = folder / "still.png"
        subprocess.run([*command, str(still)], check=True)
        Image.open(still).convert("RGB").save(result, quality=70)
        return result
    subprocess.run([*command, "-threads", "2", str(result)], check=True)
    return result


def survival(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    attacks = QUICK if args.quick else tuple(ATTACKS)
    caption(folder / "caption.png")
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in attacks}
    about = []
    for name, kind, film, content_id, psnr in films(args, folder):
        for attack in attacks:
            result = attacked(film, attack, folder)
            found = verify(result)
            rows[attack].append(
                {
                    "film": name,
                    "kind": kind,
                    "manifest": found.manifest.valid,
                    "mark": found.mark.content_id == content_id,
                    "wrong": found.mark.found and found.mark.content_id != content_id,
                    "metadata": found.metadata_ours or found.metadata_type is not None,
                    "sigma": found.mark.word_sigma,
                }
            )
        changed = folder / "changed.mp4"
        changed.write_bytes(one_byte_changed(film.read_bytes()))
        about.append({"film": name, "kind": kind, "psnr": psnr, "changed_reported": read_manifest(changed).changed})
        print(f"{name}: {[a for a in attacks if not rows[a][-1]['mark']]}", file=sys.stderr, flush=True)
        if args.json:
            args.json.write_text(json.dumps({"survival": {"attacks": rows, "films": about}}, indent=1))
    return {"attacks": rows, "films": about}


def films(args: argparse.Namespace, folder: Path) -> Iterator[tuple[str, str, Path, int, float]]:
    if args.films:
        for path in args.films:
            content_id = read_manifest(path).content_id
            if content_id is None:
                raise SystemExit(f"{path} has no manifest of portrait_anim")
            yield path.stem, "portrait-anim", path, content_id, float("nan")
        return
    if args.animated:
        yield from animated(folder, args.quick)
        return
    for name, kind, frames in scenes(args.quick):
        film = folder / "film.mp4"
        content_id, psnr = make_film(film, frames)
        yield name, kind, film, content_id, psnr


def animated(folder: Path, quick: bool) -> Iterator[tuple[str, str, Path, int, float]]:
    """Talking films of 2 s by the product itself; PSNR against the frames that were given to the marker."""
    samples, rate = soundfile.read(SPEECH)
    sound = (np.asarray(samples[: 2 * rate], np.float32), rate)
    made = [(path, 1.0) for path in stills()] + [(path, 0.3) for path in stills()[::2]]
    for path, darkness in made[:: 12 if quick else 1]:
        frame = (picture(path) * darkness).astype(np.uint8)
        film = folder / "film.mp4"
        try:
            Animator(frame).animate(sound, film, overwrite=True)
        except PhotoError as e:
            print(f"{path.stem}: left out, {e}", file=sys.stderr)
            continue
        content_id = read_manifest(film).content_id
        if content_id is None:
            raise SystemExit(f"the film of {path} has no manifest")
        error = np.mean((FrameMarker(frame.shape[1::-1], content_id).mark(frame).astype(np.float32) - frame) ** 2)
        kind = "dark" if darkness < 1 else "painting" if is_painting(path) else "photo"
        yield (
            f"{path.stem}{' dark' if darkness < 1 else ''}",
            kind,
            film,
            content_id,
            float(10 * np.log10(255**2 / error)),
        )


def one_byte_changed(data: bytes) -> bytes:
    changed = bytearray(data)
    start = data.find(b"mdat") + 4
    changed[start + 100 + (len(data) - start) // 3] ^= 1
    return bytes(changed)


def false_alarms(quick: bool) -> dict[str, Any]:
    """Read unmarked photos and clips."""
    photos = sorted((DATA / "expression_stills").glob("*.jpg"))[:: 150 if quick else 6]
    photos += sorted((DATA / "stills").glob("*.jpg")) + sorted((DATA / "public_domain").glob("*.jpg"))
    clips = sorted((DATA / "grid_s1").glob("*.mp4"))[:: 300 if quick else 20]
    clips += sorted((DATA / "av_multi").rglob("*.mp4"))[:: 40 if quick else 3]
    alarms, highest, n = [], 0.0, 0
    for path in photos + clips:
        frames = [picture(path, 1024)] if path.suffix == ".jpg" else clip(path, 25, 1024)[::5]
        reading = read_mark(frames)
        n += 1
        highest = max(highest, reading.sync_sigma)
        if reading.found or reading.trace:
            alarms.append(f"{path.name}: found {reading.found}, trace {reading.trace}")
    return {"photos": len(photos), "clips": len(clips), "alarms": alarms, "highest_sync": highest, "n": n}


def upper_bound(n: int) -> float:
    """Clopper-Pearson, 95 % two-sided, for 0 of n."""
    return 1 - 0.025 ** (1 / n)


def cost(folder: Path) -> dict[str, float]:
    """Marking against encoding, and the time to verify 60 s of 1080p."""
    result = {}
    still = picture(DATA / "stills" / "s5.jpg")
    for side in (512, 1024):
        frame = cv2.resize(still, (side, side))
        marker = FrameMarker((side, side), 1)
        start = time.perf_counter()
        marker.plan(frame)
        result[f"plan {side} ms"] = (time.perf_counter() - start) * 1e3
        start = time.perf_counter()
        for _ in range(100):
            marker.mark(frame)
        result[f"mark {side} ms/frame"] = (time.perf_counter() - start) * 10
    film = folder / "long.mp4"
    source = ["-loop", "1", "-i", str(DATA / "stills" / "s5.jpg")]
    noise = "scale=1920:1080,noise=alls=3:allf=t,format=yuv420p"
    encode = ["-t", "60", "-r", "25", "-vf", noise, "-preset", "ultrafast"]
    subprocess.run([ffmpeg_exe(), "-v", "error", "-y", *source, *encode, str(film)], check=True)
    start = time.perf_counter()
    verify(film)
    result["verify 60 s of 1080p, unmarked, s"] = time.perf_counter() - start
    return result


_RIVAGAN = """
import sys, cv2, numpy as np
sys.path.append(sys.argv[1])
from imwatermark import WatermarkEncoder, WatermarkDecoder
bits = [int(b) for b in np.unpackbits(np.arange(4, dtype=np.uint8) * 57 + 11)]
if sys.argv[2] == "mark":
    e = WatermarkEncoder(); e.loadModel(); e.set_watermark("bits", bits)
    cv2.imwrite(sys.argv[4], e.encode(cv2.imread(sys.argv[3]), "rivaGan"))
else:
    d = WatermarkDecoder("bits", 32); d.loadModel()
    print(sum(int(a == bool(b)) for a, b in zip(d.decode(cv2.imread(sys.argv[3]), "rivaGan"), bits)))
"""


def rivagan(where: Path, folder: Path, quick: bool) -> dict[str, list[int]]:
    """Bits of 32 that rivaGan reads, on stills; from the first frame after the attack."""
    attacks = ("H.264 CRF 28", "H.264 CRF 33", "CRF 28 + half size + stripped", "crop 25 %", "mirrored")
    right: dict[str, list[int]] = {name: [] for name in attacks}
    for path in [DATA / "stills" / f"{name}.jpg" for name in ("s5", "s6", "art_3", "art_5")][: 1 if quick else 4]:
        still, marked = folder / "still.png", folder / "marked.png"
        frame = picture(path)
        Image.fromarray(frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2]).save(still)
        subprocess.run([sys.executable, "-c", _RIVAGAN, str(where), "mark", str(still), str(marked)], check=True)
        film = folder / "riva.mp4"
        arguments = ["-loop", "1", "-i", str(marked), "-t", "1", "-r", "25", "-pix_fmt", "yuv420p", "-crf", "16"]
        subprocess.run([ffmpeg_exe(), "-v", "error", "-y", *arguments, str(film)], check=True)
        for name in attacks:
            after = Image.fromarray(next(read_frames(attacked(film, name, folder))))
            if name.startswith("CRF 28 + half"):
                after = after.resize(frame.shape[1::-1], Image.Resampling.BICUBIC)  # it takes no sides under 256 px
            after.save(still)
            command = [sys.executable, "-c", _RIVAGAN, str(where), "read", str(still)]
            right[name].append(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    return right


def report(results: dict[str, Any]) -> str:
    lines: list[str] = []
    if "survival" in results:
        lines += about_survival(results["survival"])
    if "false_alarms" in results:
        alarms = results["false_alarms"]
        lines += [
            "",
            f"False alarms: {len(alarms['alarms'])} on {alarms['photos']} photos and {alarms['clips']} clips "
            f"(95 % bound for none: {upper_bound(alarms['n']):.2%}; by design {MAX_WORDS * 2.0**-24:.1e} a file); "
            f"highest sync peak {alarms['highest_sync']:.1f} sigma. {' '.join(alarms['alarms'])}",
        ]
    if "cost" in results:
        lines += ["", *(f"- {name}: {value:.2f}" for name, value in results["cost"].items())]
    if "rivagan" in results:
        lines += ["", "| attack | rivaGan: bits right of 32 |", "|---|---|"]
        lines += [f"| {name} | {', '.join(map(str, bits))} |" for name, bits in results["rivagan"].items()]
    return "\n".join(lines)


def about_survival(survived: dict[str, Any]) -> list[str]:
    about = survived["films"]
    lines = [
        f"{len(about)} films; PSNR of marked to unmarked frames: lowest {min(f['psnr'] for f in about):.1f} dB, median "
        f"{np.median([f['psnr'] for f in about]):.1f} dB. One changed byte reported: "
        f"{sum(f['changed_reported'] for f in about)} of {len(about)}.",
        "",
        "| attack | invisible mark | weakest (sigma) | manifest | metadata | wrong id | lost |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, rows in survived["attacks"].items():
        n = len(rows)
        lost = ", ".join(row["film"] for row in rows if not row["mark"])
        lines.append(
            f"| {name} | {sum(r['mark'] for r in rows) / n:.0%} | {min(r['sigma'] for r in rows):.0f} "
            f"| {sum(r['manifest'] for r in rows) / n:.0%} | {sum(r['metadata'] for r in rows) / n:.0%} "
            f"| {sum(r['wrong'] for r in rows)} | {lost} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    parser.add_argument("--animated", action="store_true", help="attack talking films that the product makes")
    parser.add_argument("--films", nargs="+", type=Path, help="finished films of portrait-anim to attack")
    parser.add_argument("--rivagan", type=Path, help="folder with invisible-watermark and onnxruntime")
    parts = ("survival", "alarms", "cost", "rivagan")
    parser.add_argument("--only", nargs="+", choices=parts, default=parts, help="parts to run")
    parser.add_argument("--json", type=Path, help="write all figures here")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results: dict[str, Any] = {}
        if "survival" in args.only:
            results["survival"] = survival(args, folder)
        if "alarms" in args.only:
            results["false_alarms"] = false_alarms(args.quick)
        if "cost" in args.only:
            results["cost"] = cost(folder)
        if args.rivagan and "rivagan" in args.only:
            results["rivagan"] = rivagan(args.rivagan.resolve(), folder, args.quick)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))
    print(report(results))


if __name__ == "__main__":
    main()

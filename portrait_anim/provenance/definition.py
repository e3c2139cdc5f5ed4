"""What a film's manifest says: its sources by hash, what was done with them, and by what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from portrait_anim.provenance.ecc import MAKER
from portrait_anim.provenance.metadata import COMPOSITE
from portrait_anim.version import __version__

ALGORITHM = "org.portrait-anim.spread-spectrum.1"  # our own name; it is not in C2PA's list of algorithms
GENERATION = "org.portrait-anim.generation"  # label of the assertion with seed, emotion, models and further sources
# what can go in beside photo and sound: what a manifest's ingredient is called, its type
SOURCES = {
    "actor": ("actor's video", "video/*"),
    "morph": ("morph photo", "image/*"),
    "motion": ("motion file", "*/*"),
    "captions": ("captions", "text/*"),
    "background": ("background", "*/*"),
}
PERFORMED = "One person's performance, recorded in a video, moves the face of the person in the photo."
FILM_TYPE = "video/mp4"


def ingredient(label: str, sha256: str, kind: str | None = None, title: str | None = None) -> dict[str, Any]:
    """Return a source as c2pa's builder takes it: what it is called within the manifest, its hash, type and title."""
    about = {"title": title or label, "relationship": "inputTo", "instance_id": f"urn:sha256:{sha256}", "label": label}
    return about if kind is None else {**about, "format": kind}


def _ingredients(
    photo_hash: str, audio_hash: str | None, more: Mapping[str, Sequence[str]], *, photo_kept: bool
) -> list[dict[str, Any]]:
    """Return the sources as ingredients. ``photo_kept``: the photo is added as a stream instead."""
    found = [] if photo_kept else [ingredient("photo", photo_hash, "image/*")]
    found += [] if audio_hash is None else [ingredient("sound", audio_hash, "audio/*")]
    for role, digests in more.items():
        title, kind = SOURCES[role]
        found += [
            ingredient(role if number == 1 else f"{role} {number}", digest, kind, title)
            for number, digest in enumerate(digests, 1)
        ]
    return found


def definition_of(
    photo_hash: str,
    audio_hash: str | None,
    seed: int,
    emotion: str | None,
    models: Mapping[str, str],
    content_id: int,
    more: Mapping[str, Sequence[str]],
    *,
    photo_kept: bool,
    kind: str = FILM_TYPE,
) -> dict[str, Any]:
    """Return the manifest, as c2pa's builder takes it. ``photo_kept``: the photo is added as a stream instead.

    ``kind`` is the film's type, as of a file.
    """
    agent = {"name": "portrait_anim", "version": __version__}
    ingredients = _ingredients(photo_hash, audio_hash, more, photo_kept=photo_kept)
    labels = [*(["photo"] if photo_kept else []), *(ingredient["label"] for ingredient in ingredients)]
    created = {
        "action": "c2pa.created",
        "digitalSourceType": COMPOSITE,
        "softwareAgent": agent,
        "parameters": {"ingredientIds": labels},
    }
    marked = {"action": "c2pa.watermarked", "softwareAgent": agent}
    generation: dict[str, Any] = {
        "photo_sha256": photo_hash,
        "sound_sha256": audio_hash,
        "seed": seed,
        "emotion": emotion or "neutral",
        "models": [{"name": name, "sha256": digest} for name, digest in sorted(models.items())],
    }
    if more:
        generation["sources"] = [
            {"role": role, "sha256": digest} for role, digests in more.items() for digest in digests
        ]
    if "actor" in more:
        generation["performance"] = PERFORMED
    value = f"{MAKER:02x}{content_id:08x}"
    binding = {"alg": ALGORITHM, "blocks": [{"scope": {}, "value": value}]}
    return {
        "claim_generator_info": [agent],
        "title": "film",
        "format": kind,
        "ingredients": ingredients,
        "assertions": [
            {"label": "c2pa.actions", "data": {"actions": [created, marked]}, "created": True},
            {"label": "c2pa.soft-binding", "data": binding, "created": True},
            {"label": GENERATION, "data": generation, "created": True},
        ],
    }

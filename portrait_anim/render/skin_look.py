"""Measures a face's skin in the photo: where it is, how its colour changes in the shade, where the light comes from.

Everything is measured on a grid that is as fine as the photo, or coarser where the face is large.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from portrait_anim.face.matte import face_mask
from portrait_anim.face.mesh import topology
from portrait_anim.render.light import SKIN
from portrait_anim.system.opencv import cv2

Array = npt.NDArray[np.float32]
Float = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]

LIFT = 8.0  # grey levels added before a logarithm: noise in the dark is no crease
CREASE_IOD, LEAST_BLUR = 0.012, 0.6  # Gaussian deviation of brightness and channels: IOD, and grid points at least

# where a pixel looks like skin; pairs (a, b): 1 up to a difference of (a - 1) * b, 0 from a * b on
LAB_BLUR, LAB_BLUR_LEAST = 0.02, 0.5  # Gaussian deviation of the colours: IOD, and grid points at least
TINT_OFF = (1.6, 14)  # difference of a and b (CIELAB) from the cheeks'
ROUGH_OFF = (1.6, 0.06)  # roughness, as a share of the cheeks' brightness
ROUGH_FINE = 0.02  # IOD, Gaussian deviation: texture finer than this is roughness
ROUGH_WIDE = 0.04  # IOD, Gaussian deviation with which roughness is averaged
DARK = (0.35, 0.25)  # lightness over the cheeks' that is no skin; how much more is skin
RIM = 0.06  # IOD from the face's outline inwards over which the share rises
SHARE_BLUR = 0.02  # IOD, Gaussian deviation of the share

# colour of the shade
TINT_USUAL = (0.80, 1.06, 1.20)  # R, G, B: change of their logarithm with that of the brightness, usual for skin
COLOURED = 0.02  # difference between the channels' mean logarithms from which on a photo has colours
TINT_TRUST = 0.02  # variance of the log brightness at which the photo counts as much as the usual
TINT_RANGE = (0.5, 1.7)

# light
FROM_ABOVE = np.array([0.0, -0.35])  # (x right, y down) log brightness for a slope of 1: light that is usual
FACING = 0.5  # z of a triangle's normal from which on it is looked at
LIGHT_TRUST = 0.03  # variance of the normals at which the photo counts as much as the usual
LIGHT_MOST = 0.6  # log brightness for a slope of 1


@dataclass(frozen=True)
class SkinLook:
    """The skin of a face as measured in the photo, on the grid."""

    log: Array  # (h, w) natural logarithm of the brightness
    channels: Array  # (h, w, 3) of R, G, B
    skin: Array  # (h, w) 0..1, how much a place looks like skin
    light: Float  # (2,) where the light comes from, x right, y down: log brightness for a slope of 1
    tint: Float  # (3,) change of the logarithm of R, G, B for a change of 1 in that of the brightness
    unit: float  # grid points an IOD


def read_skin(small: Image, landmarks: Array, points: Float, unit: float) -> SkinLook:
    """Read the skin of a face off the photo.

    Args:
        small: (h, w, 3) the face, on the grid.
        landmarks: (478, 3) px in the photo.
        points: (478, 2) the same on the grid.
        unit: grid points an IOD.
    """
    channels = np.log(small.astype(np.float32) + LIFT)
    log = np.log(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32) + LIFT)
    skin = _skin_share(small, points, unit)
    light, tint = _light(log, skin, landmarks, points), _tint(log, channels, skin)
    blur = max(CREASE_IOD * unit, LEAST_BLUR)
    log, channels = (cv2.GaussianBlur(values, (0, 0), blur) for values in (log, channels))
    return SkinLook(log, channels, skin, light, tint, unit)


def sampled(points: Float, values: npt.NDArray[np.floating]) -> Float:
    """Return (h, w) or (h, w, C) values at points (..., 2), (x, y) on the grid; linear in between."""
    at = np.asarray(points, np.float32).reshape(-1, 1, 2)
    out = cv2.remap(values, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out.reshape(points.shape[:-1] + values.shape[2:]), np.float64)


def _skin_share(small: Image, points: Float, unit: float) -> Array:
    """Return (h, w) 0..1 how much a place looks like the skin of the cheeks; hair, beards, glasses and hats do not."""
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    lab = cv2.GaussianBlur(lab, (0, 0), max(LAB_BLUR * unit, LAB_BLUR_LEAST))
    # colour and brightness against the cheeks'
    at = np.stack([sampled(points[list(SKIN)], np.ascontiguousarray(lab[..., k])) for k in range(3)], axis=1)
    middle = np.median(at, axis=0)
    tint = np.hypot(lab[..., 1] - middle[1], lab[..., 2] - middle[2])
    bright = lab[..., 0] / max(float(middle[0]), 1.0)
    # roughness: hair is rough
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32) / (255 * (middle[0] / 100))
    fine = np.abs(grey - cv2.GaussianBlur(grey, (0, 0), ROUGH_FINE * unit))
    rough = cv2.GaussianBlur(fine, (0, 0), ROUGH_WIDE * unit)
    share = np.clip(TINT_OFF[0] - tint / TINT_OFF[1], 0, 1) * np.clip((bright - DARK[0]) / DARK[1], 0, 1)
    share = share * np.clip(ROUGH_OFF[0] - rough / ROUGH_OFF[1], 0, 1)
    # less towards the face's outline
    oval = face_mask(points, share.shape)
    inside = np.clip(cv2.distanceTransform(oval, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) / (RIM * unit), 0, 1)
    return np.asarray(cv2.GaussianBlur((share * inside).astype(np.float32), (0, 0), SHARE_BLUR * unit))


def _tint(log: Array, channels: Array, skin: Array) -> Float:
    """Return (3,) how much the logarithm of R, G, B changes with that of the brightness in this photo's skin.

    Skin is redder where it is in the shade, painted skin browner; a grey photo's has no colour anywhere. Linear
    regression, weighted by the share of skin and pulled towards the usual (``TINT_USUAL``).
    """
    weight = skin / max(float(skin.sum()), 1e-6)
    apart = log - (weight * log).sum()
    variance = float((weight * apart**2).sum())
    slope = (weight[..., None] * apart[..., None] * channels).sum((0, 1))
    mean = np.array([float((weight * channels[..., k]).sum()) for k in range(3)])
    prior = np.array(TINT_USUAL) if np.ptp(mean) > COLOURED else np.ones(3)
    return np.asarray(np.clip((slope + TINT_TRUST * prior) / (variance + TINT_TRUST), *TINT_RANGE), np.float64)


def _light(log: Array, skin: Array, landmarks: Array, points: Float) -> Float:
    """Return (2,) where the light comes from, x right, y down, in log brightness for a slope of 1.

    Ridge regression of the skin's log brightness on the normals of the mesh's triangles, pulled towards light from
    above (``FROM_ABOVE``).
    """
    # the triangles' normals, towards the viewer
    triangles = topology().triangles
    a, b, c = (landmarks[triangles[:, k]].astype(np.float64) for k in range(3))
    normal = np.cross(b - a, c - a)
    normal *= -np.sign(normal[:, 2:]) / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    # their brightness, weighted by how much they look like skin
    middle = points[triangles].mean(axis=1)  # (852, 2)
    weight = sampled(middle, skin) * (np.abs(normal[:, 2]) > FACING)
    value = sampled(middle, log)
    # the regression
    centred = np.stack([normal[:, 0], normal[:, 1]], axis=1)
    total = max(float(weight.sum()), 1e-6)
    centred = centred - (weight @ centred) / total
    value = value - (weight @ value) / total
    gram = centred.T @ (centred * weight[:, None]) / total + LIGHT_TRUST * np.eye(2)
    light = np.linalg.solve(gram, centred.T @ (value * weight) / total + LIGHT_TRUST * FROM_ABOVE)
    return np.asarray(light / max(1.0, float(np.linalg.norm(light)) / LIGHT_MOST))

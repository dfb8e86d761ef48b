"""Do the knobs do what they say? Slant, thickness and width of real digits set to asked-for values.

The first 2,000 test digits; for each knob, values drawn evenly from the middle 90 % of what real digits of the same
class measure (a one is never as wide as a zero). R2 is that of the measured value with the asked-for one: 1 less the
squared misses over the variance of what was asked within classes, so that the class itself explains nothing. The
frozen reader says whether the digit stayed what it was; FID-digit how far the edited digits are from the other real
ones. The first row has both for digits that were not edited. The trivial rival moves pixels: it shears, dilates or
erodes, stretches.

The last rows say by how many grey levels digits have changed on average: of an edit to what they measure already, which
by its construction is none, and of one that goes away by `AWAY` and comes back, by the codes and by moving pixels.

Usage: python -m benchmarks.control [MODEL]
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch
from PIL import Image
from skimage.morphology import dilation, disk, erosion

from benchmarks.common import finish, full_mnist, peak_memory_mb
from digitvae.evaluation.hands import without_class_means
from digitvae.evaluation.samples import frechet_distance
from digitvae.morphometry import measure
from digitvae.reading import digit_features, frozen, read_digits
from digitvae.studio import Studio
from digitvae.styling import RANGES, UNITS, Knobs, edit_images

DIGITS = 2000
SCALE = 4

AWAY = {"slant": 10.0, "thickness": 0.5, "width": 2.5}
"""How far an edit goes before it is taken back: degrees and pixels."""


def main(model: str = "studio") -> None:
    began = time.perf_counter()
    studio, splits = Studio.load(model), full_mnist()
    knobs, real = Knobs.load(studio), splits.test.subset(slice(0, DIGITS))
    others = digit_features(frozen("features")[0], splits.test.images[-8000:])
    labels = real.labels.astype(np.int64)
    measured, rng = measure(real.images), np.random.default_rng(0)
    rows = [row("real digits, not edited", real.images, labels, others, None, None)]
    for knob in UNITS:
        values = getattr(measured, knob)
        ends = np.array([np.nanquantile(values[labels == digit], [0.05, 0.95]) for digit in range(10)])
        wanted = rng.uniform(*ends[labels].T)
        edited = edit_images(studio, knobs, real.images, labels, {knob: wanted}).images
        rows.append(row(knob, edited, labels, others, knob, wanted))
        moved = np.stack([RIVALS[knob](*each) for each in zip(real.images, values, wanted, strict=True)])
        rows.append(row(f"{knob}, moving pixels", moved, labels, others, knob, wanted))
    every = {knob: getattr(measured, knob) for knob in UNITS}
    same = edit_images(studio, knobs, real.images, labels, every).images
    null = change(same, real.images)
    rows.append(["all three as they are", "", "", "", f"{null:.2f}"])
    back = {}
    for knob, far in AWAY.items():
        values, title = every[knob], f"{knob} {far:+g} and back"
        away = np.clip(values + far, *RANGES[knob])
        moved = edit_images(studio, knobs, real.images, labels, {knob: away}).images
        moved = edit_images(studio, knobs, moved, labels, {knob: values}).images
        shifted = np.stack([RIVALS[knob](*each) for each in zip(real.images, values, away, strict=True)])
        shifted = np.stack([RIVALS[knob](*each) for each in zip(shifted, away, values, strict=True)])
        for name, images in ((title, moved), (f"{title}, moving pixels", shifted)):
            back[name] = change(images, real.images)
            rows.append([*row(name, images, labels, others, knob, values)[:-1], f"{back[name]:.2f}"])
    result = {"model": model, "digits": DIGITS, "null_edit": null, "there_and_back": back}
    result |= {"seconds": time.perf_counter() - began}
    columns = ["edit of real digits", "R2", "read as before", "FID-digit", "mean change, grey levels"]
    finish("control", "python -m benchmarks.control", result | {"peak_memory_mb": peak_memory_mb()}, columns, rows)


def row(
    title: str,
    images: np.ndarray,
    labels: np.ndarray,
    others: torch.Tensor,
    knob: str | None,
    wanted: np.ndarray | None,
) -> list[str]:
    read = read_digits(frozen("reader")[0], images).argmax(1).numpy()
    distance = frechet_distance(others, digit_features(frozen("features")[0], images))
    fit = "" if knob is None or wanted is None else f"{r2(wanted, getattr(measure(images), knob), labels):.3f}"
    return [title, fit, f"{np.mean(read == labels):.2%}", f"{distance:.1f}", ""]


def change(images: np.ndarray, before: np.ndarray) -> float:
    """Mean absolute difference, in grey levels."""
    return float(np.abs(images.astype(int) - before).mean())


def r2(wanted: np.ndarray, got: np.ndarray, labels: np.ndarray) -> float:
    """Where nothing can be measured any more, the miss is that of the mean of the class."""
    varied = without_class_means(wanted, labels)
    miss = np.where(np.isfinite(got), got - wanted, varied)
    return float(1 - np.square(miss).sum() / np.square(varied).sum())


def sheared(image: np.ndarray, slant: float, wanted: float) -> np.ndarray:
    shear = np.tan(np.deg2rad(wanted)) - np.tan(np.deg2rad(slant))
    return transformed(image, (1, shear, -13.5 * shear, 0, 1, 0))


def stretched(image: np.ndarray, width: float, wanted: float) -> np.ndarray:
    share = width / wanted
    return transformed(image, (share, 0, 13.5 * (1 - share), 0, 1, 0))


def transformed(image: np.ndarray, matrix: tuple[float, ...]) -> np.ndarray:
    return np.asarray(
        Image.fromarray(image).transform((28, 28), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)
    )


def fattened(image: np.ndarray, thickness: float, wanted: float) -> np.ndarray:
    large = np.asarray(Image.fromarray(image).resize((28 * SCALE, 28 * SCALE), Image.Resampling.BICUBIC))
    radius = round(SCALE * (wanted - thickness) / 2)
    if radius:
        large = dilation(large, disk(radius)) if radius > 0 else erosion(large, disk(-radius))
    return np.asarray(Image.fromarray(large).resize((28, 28), Image.Resampling.BOX))


RIVALS = {"slant": sheared, "thickness": fattened, "width": stretched}

if __name__ == "__main__":
    main(*sys.argv[1:2])

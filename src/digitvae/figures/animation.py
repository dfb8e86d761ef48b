"""The snapshots of a run as one animation."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from digitvae.figures.style import INK

_LAST = 2.5
_TITLE = 30


def write_animation(
    frames: Sequence[Sequence[bytes]], titles: Sequence[str], seconds: float = 1.2, height: int = 420
) -> bytes:
    """A GIF whose frames are PNG images set side by side; the last is shown longer, then it starts again.

    Args:
        frames: For each frame the PNG images, left to right.
        titles: What is written above each frame.
        seconds: How long a frame is shown.
        height: Height of the animation in pixels.

    >>> out = io.BytesIO()
    >>> Image.new("RGB", (20, 10)).save(out, "png")
    >>> write_animation([[out.getvalue()] * 2], ["epoch 1"], height=10)[:6]
    b'GIF89a'
    """
    sheets = [_side_by_side(images, title, height) for images, title in zip(frames, titles, strict=True)]
    palette = _stacked(sheets).quantize(128)
    indexed = [sheet.quantize(palette=palette, dither=Image.Dither.NONE) for sheet in sheets]
    durations = [round(1000 * seconds)] * (len(indexed) - 1) + [round(1000 * seconds * _LAST)]
    out = io.BytesIO()
    indexed[0].save(out, "gif", save_all=True, append_images=indexed[1:], duration=durations, loop=0)
    return out.getvalue()


def _stacked(sheets: Sequence[Image.Image]) -> Image.Image:
    """All frames in one image, so that their common palette can be chosen."""
    stack = Image.new("RGB", (sheets[0].width, sum(sheet.height for sheet in sheets)))
    for index, sheet in enumerate(sheets):
        stack.paste(sheet, (0, index * sheet.height))
    return stack


def _side_by_side(images: Sequence[bytes], title: str, height: int) -> Image.Image:
    parts = []
    for content in images:
        image = Image.open(io.BytesIO(content)).convert("RGB")
        width = round(image.width * height / image.height)
        parts.append(image.resize((width, height), Image.Resampling.LANCZOS))
    sheet = Image.new("RGB", (sum(part.width for part in parts), height + _TITLE), "white")
    left = 0
    for part in parts:
        sheet.paste(part, (left, _TITLE))
        left += part.width
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), _TITLE * 2 // 3)
    ImageDraw.Draw(sheet).text((8, 4), title, fill=INK, font=font)
    return sheet

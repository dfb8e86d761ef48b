"""Picture files as people have them (PNG, JPEG, BMP, TIFF, WebP) made into one plane of grey tones."""

import io
import warnings
from typing import TYPE_CHECKING

import numpy as np

from digitvae.data.digits import Pixels
from digitvae.data.files import MAX_DEFLATE_RATIO
from digitvae.data.pixels import as_pixels
from digitvae.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
"""The endings, in lower case, of the files that are taken as pictures."""

MAX_PIXELS = 50_000_000
"""More pixels than any camera's picture of a digit needs: a file that claims more is refused unread."""

_BITS = {"1": 1, "L": 2, "P": 1, "LA": 16, "RGB": 24, "RGBA": 32}
"""Bits that a pixel of a PNG has at least, by Pillow's mode; 16 in modes that are not here."""

_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")


def read_picture(content: bytes, name: str) -> Pixels:
    """The grey tones of a picture file.

    Colours become their luminance. Transparent parts are seen on white paper, or on black where white would leave
    nothing to see. 16-bit tones are reduced to 8 bits. A photograph is turned upright as its camera noted.

    Args:
        content: the file's bytes.
        name: what messages call the file.

    Returns:
        uint8 of shape (height, width).

    Raises:
        DataError: when it is not one of these formats, is damaged, holds several pictures (pages, frames) or
            more than 50 million pixels, or its tones are not numbers or out of range.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        # Pillow warns about many harmless oddities; its warning of too many pixels is the one that counts.
        with warnings.catch_warnings(action="ignore"):
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=_FORMATS) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise Image.DecompressionBombError
                # Pillow would make the whole picture, with black for what is not there.
                bits = picture.width * picture.height * _BITS.get(picture.mode, 16)
                if picture.format == "PNG" and bits > 8 * MAX_DEFLATE_RATIO * len(content):
                    raise DataError(f"{name} claims more pixels than it can hold: save or copy it again.")
                # Phones add hidden second pictures to a JPEG (as "MPO"); the first is what one sees.
                if picture.format != "MPO" and (frames := getattr(picture, "n_frames", 1)) > 1:
                    raise DataError(f"{name} holds {frames} pictures: save the one you mean as a PNG.")
                picture.load()
                return _grey(ImageOps.exif_transpose(picture), name)
    except DataError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(
            f"{name} claims more than {MAX_PIXELS // 1_000_000} million pixels: give a smaller picture."
        ) from error
    except UnidentifiedImageError as error:
        raise DataError(f"{name} is not a PNG, JPEG, BMP, TIFF or WebP picture: give one of these.") from error
    except Exception as error:  # Pillow's decoders meet damage with a dozen kinds of exception
        raise DataError(f"{name} is a damaged picture ({error}): save or copy it again.") from error


def _grey(picture: "Image", name: str) -> Pixels:
    from PIL import Image

    if picture.mode.startswith("I"):
        tones = np.asarray(picture).astype(np.int64)
        if tones.min() < 0 or tones.max() > 65535:
            raise DataError(f"{name} has tones from {tones.min()} to {tones.max()}: save it with 8 or 16 bits.")
        return np.rint(tones / 257).astype(np.uint8)
    if picture.mode == "F":
        pixels: Pixels = as_pixels(np.asarray(picture)[np.newaxis], name)[0]
        return pixels
    if picture.has_transparency_data:
        colours = picture.convert("RGBA")
        papers = [
            Image.alpha_composite(Image.new("RGBA", colours.size, paper), colours).convert("L")
            for paper in ("white", "black")
        ]
        on_white, on_black = (np.asarray(paper) for paper in papers)
        return on_white if np.ptp(on_white) >= np.ptp(on_black) / 2 else on_black
    if picture.mode not in {"1", "L"}:
        picture = picture.convert("RGB")
    return np.asarray(picture.convert("L"))

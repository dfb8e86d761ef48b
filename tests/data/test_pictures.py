import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from digitvae.data.fitting import fit_picture
from digitvae.data.pictures import read_picture
from digitvae.data.pixels import as_labels, as_pixels
from digitvae.errors import DataError

fuzz = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def saved(picture, kind, **options):
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_every_format_gives_the_tones_back(few, kind, mode):
    picture = Image.fromarray(few.images[0]).convert(mode)
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    tones = read_picture(saved(picture, kind, **options), "x")
    assert tones.dtype == np.uint8
    np.testing.assert_allclose(tones.astype(int), few.images[0], atol=30 if kind == "JPEG" else 0)


def variants(image):
    """The same digit, light on dark unless the name says dark, in the modes that people's files have."""
    grey = Image.fromarray(image)
    ink = Image.new("RGBA", (28, 28), (10, 10, 60, 255))
    ink.putalpha(grey)
    white_ink = Image.new("RGBA", (28, 28), "white")
    white_ink.putalpha(grey)
    return {
        "palette": (grey.convert("P"), "PNG"),
        "grey with alpha": (grey.convert("LA"), "PNG"),
        "16 bits": (Image.fromarray(image.astype(np.uint16) * 257), "PNG"),
        "16-bit TIFF": (Image.fromarray(image.astype(np.uint16) * 257), "TIFF"),
        "32-bit TIFF": (Image.fromarray(image.astype(np.int32) * 257), "TIFF"),
        "float TIFF": (Image.fromarray(image.astype(np.float32) / 255), "TIFF"),
        "CMYK": (grey.convert("CMYK"), "TIFF"),
        "dark ink on nothing": (ink, "PNG"),
        "dark ink on nothing, WebP": (ink, "WEBP"),
        "white ink on nothing": (white_ink, "PNG"),
    }


@pytest.mark.parametrize("name", variants(np.zeros((28, 28), np.uint8)))
def test_modes_as_people_have_them(few, name):
    picture, kind = variants(few.images[0])[name]
    options = {"lossless": True} if kind == "WEBP" else {}
    fitted, inverted = fit_picture(read_picture(saved(picture, kind, **options), name), name)
    assert inverted == name.startswith("dark")
    assert np.abs(fitted.astype(float) - few.images[0]).mean() < 3


def test_black_and_white(few):
    picture = Image.fromarray(few.images[0]).point(lambda tone: 255 * (tone > 127)).convert("1")
    np.testing.assert_array_equal(read_picture(saved(picture, "PNG"), "x"), 255 * (few.images[0] > 127))


def test_a_transparent_palette(few):
    picture = Image.fromarray(few.images[0]).convert("P")
    tones = read_picture(saved(picture, "PNG", transparency=0), "x")
    assert np.ptp(tones) > 200


def test_photographs_are_turned_upright():
    tones = np.zeros((20, 40), np.uint8)
    tones[:, :10] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = read_picture(saved(Image.fromarray(tones), "PNG", exif=exif), "x")
    np.testing.assert_array_equal(upright, np.rot90(tones, -1))


def png_claiming(width, height):
    """A small PNG whose header claims any size."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(60_000_000, 1), (10_000, 9_000), (12_000, 12_000), (100_000, 100_000)])
def test_decompression_bombs_are_refused_unread(size):
    with pytest.raises(DataError, match="more than 50 million pixels"):
        read_picture(png_claiming(*size), "bomb.png")


@pytest.mark.parametrize("mode", ["1", "L", "I;16", "RGBA"])
def test_a_png_that_claims_more_than_its_bytes_can_hold_is_refused_unread(mode):
    """Found by fuzzing: Pillow makes a picture of the size that is claimed, and lets missing rows be black."""
    small = saved(Image.new(mode, (40, 40), 1), "PNG")
    header = struct.pack(">4sII", b"IHDR", 7000, 7000) + small[24:29]
    claims = small[:12] + header + struct.pack(">I", zlib.crc32(header)) + small[33:]
    with pytest.raises(DataError, match="claims more pixels than it can hold"):
        read_picture(claims, "it")
    assert read_picture(small, "it").shape == (40, 40)


def test_a_png_may_be_as_dense_as_deflate_can_make_it():
    for mode in ("1", "L", "P", "LA", "RGB", "RGBA", "I;16"):
        assert read_picture(saved(Image.new(mode, (3000, 3000)), "PNG", compress_level=9), "it").shape == (3000, 3000)


def test_what_is_no_picture_is_refused_by_name(few):
    picture = Image.fromarray(few.images[0])
    good = saved(picture, "PNG")
    with pytest.raises(DataError, match=r"a\.png is not a PNG"):
        read_picture(b"hello", "a.png")
    with pytest.raises(DataError, match=r"a\.png is not a PNG"):
        read_picture(saved(picture, "GIF"), "a.png")
    with pytest.raises(DataError, match=r"a\.png is a damaged picture"):
        read_picture(good[: len(good) // 2], "a.png")
    with pytest.raises(DataError, match="holds 2 pictures"):
        read_picture(saved(picture, "TIFF", save_all=True, append_images=[picture]), "x")
    nan = Image.fromarray(np.full((28, 28), np.nan, np.float32))
    with pytest.raises(DataError, match="not numbers"):
        read_picture(saved(nan, "TIFF"), "x")
    with pytest.raises(DataError, match="tones from -5"):
        read_picture(saved(Image.fromarray(np.full((28, 28), -5, np.int32)), "TIFF"), "x")


@given(
    kind=st.sampled_from(["PNG", "BMP", "TIFF", "WEBP", "JPEG"]),
    changes=st.lists(st.tuples(st.integers(0, 10**4), st.integers(0, 255)), max_size=6),
    cut=st.one_of(st.just(0), st.integers(0, 10**4)),
)
@fuzz
def test_mutated_pictures_give_data_errors_only(few, kind, changes, cut):
    content = bytearray(saved(Image.fromarray(few.images[0]), kind))
    for where, value in changes:
        content[where % len(content)] = value
    with contextlib.suppress(DataError):
        tones = read_picture(bytes(content[: len(content) - cut % len(content)]), "x")
        fit_picture(tones, "x")


@given(shape=st.tuples(st.integers(1, 60), st.integers(1, 60)), seed=st.integers(0, 2**32))
@fuzz
def test_any_tones_are_fitted_or_refused(shape, seed):
    random = np.random.default_rng(seed)
    tones = random.integers(0, 256, shape, np.uint8) * random.integers(0, 2, shape, np.uint8)
    with contextlib.suppress(DataError):
        fitted, _ = fit_picture(tones, "x")
        assert fitted.shape == (28, 28)
        assert fitted.dtype == np.uint8


def test_pixels_in_every_form(few):
    images = few.images[:5]
    forms = [
        images,
        images.astype(np.int64),
        images.astype(np.float64),
        images.astype(np.float32) / 255,
        images / 255,
        images.reshape(5, 784),
        images[:, None],
        images[..., None],
    ]
    for form in forms:
        np.testing.assert_array_equal(as_pixels(form, "x"), images)
    np.testing.assert_array_equal(as_pixels(images > 127, "x"), (images > 127) * np.uint8(255))
    np.testing.assert_array_equal(as_pixels((images > 127).astype(np.uint8), "x"), (images > 127) * np.uint8(255))


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((2, 28, 28), np.nan), "not numbers"),
        (np.full((2, 28, 28), np.inf), "not numbers"),
        (np.full((2, 28, 28), -1), "from -1"),
        (np.full((2, 28, 28), 256), "to 256"),
        (np.full((2, 28, 28), -0.5), r"from -0\.5"),
        (np.full((2, 28, 28), 1.5), "broken numbers"),
        (np.zeros((2, 28, 28, 3)), "grey images"),
        (np.zeros((2, 783)), "grey images"),
        (np.zeros(5), "grey images"),
        (np.zeros((0, 28, 28)), "empty"),
        (np.zeros((1, 5000, 5)), "4096"),
        (np.array([["a"]]), "not numbers"),
    ],
)
def test_bad_pixels_are_refused(array, words):
    with pytest.raises(DataError, match=words):
        as_pixels(array, "'images' in x.npz")


def test_labels(few):
    for form in (few.labels, few.labels.astype(np.int64), few.labels.astype(float), few.labels[:, None]):
        np.testing.assert_array_equal(as_labels(form, 40, "Labels"), few.labels)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros(3), "3 for 2 images"),
        (np.array([1, 10]), "10 at position 1"),
        (np.array([-1, 1]), "-1 at position 0"),
        (np.array([0.5, 1]), r"0\.5 at position 0"),
        (np.array([np.nan, 1]), "nan at position 0"),
        (np.zeros((2, 10)), "one number"),
        (np.array(["1", "2"]), "one number"),
    ],
)
def test_bad_labels_are_refused(array, words):
    with pytest.raises(DataError, match=words):
        as_labels(array, 2, "The labels")

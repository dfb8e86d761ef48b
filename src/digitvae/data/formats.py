"""Reading and writing IDX (MNIST's own format) and NumPy's npz.

Files come from anywhere, so every reader looks at the declared sizes before it takes memory, reads at most what
was declared, never unpickles, and raises `DataError` alone.
"""

import gzip
import io
import math
import struct
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from digitvae.data.files import MAX_BYTES, MAX_DEFLATE_RATIO, Readable, open_file, read_at_most, write_aside
from digitvae.errors import DataError

Array = npt.NDArray[Any]

_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_IDX_CODES = {np.dtype(text).newbyteorder("="): code for code, text in _IDX_TYPES.items()}
_MAX_AXES = 4


def read_idx(path: str | Path) -> Array:
    """Read an IDX file, raw or compressed with gzip (told by its content, not its name).

    Returns:
        The array in the file's shape, in native byte order; writable.

    Raises:
        DataError: naming the file, when it is missing, has a wrong magic number, is truncated, has bytes after
            its end, is damaged gzip, or claims more than 1 GiB.

    Example:
        >>> read_idx("train-images-idx3-ubyte.gz").shape  # doctest: +SKIP
        (60000, 28, 28)
    """
    with open_file(path) as file:
        return idx_array(idx_content(file, str(path)))


def idx_content(file: IO[bytes], name: str) -> bytearray:
    """The whole decompressed content of an open IDX file, its size checked against its header.

    `name` is what messages call the file. Raises what `read_idx` raises.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    zipped = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    try:
        if zipped:
            with gzip.open(file) as stream:
                return _checked_idx(stream, name, most=size * MAX_DEFLATE_RATIO)
        return _checked_idx(file, name, most=size)
    except EOFError as error:
        raise DataError(f"{name} is truncated gzip: fetch or copy it again.") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{name} is damaged gzip ({error}): fetch or copy it again.") from error
    except OSError as error:
        raise DataError(f"{name} cannot be read ({error}): check the file and its disk.") from error


def _checked_idx(stream: Readable, name: str, most: int) -> bytearray:
    """Read header and body from `stream`, which can hold at most `most` bytes."""
    content = read_at_most(stream, 4)
    if len(content) < 4:
        raise DataError(f"{name} is truncated: it ends inside the IDX header; fetch or copy it again.")
    if content[:2] != b"\0\0" or content[2] not in _IDX_TYPES or not 1 <= content[3] <= _MAX_AXES:
        raise DataError(
            f"{name} is not an IDX file: it begins with {content.hex()} where images have 00000803 and labels "
            "00000801; give an IDX file."
        )
    axes = content[3]
    content += read_at_most(stream, 4 * axes)
    if len(content) < 4 + 4 * axes:
        raise DataError(f"{name} is truncated: it ends inside the IDX header; fetch or copy it again.")
    shape = struct.unpack(f">{axes}I", content[4:])
    if 0 in shape:
        raise DataError(f"{name} is empty: its header declares the shape {shape}; give a file with content.")
    total = len(content) + math.prod(shape) * np.dtype(_IDX_TYPES[content[2]]).itemsize
    if total > most:
        raise DataError(
            f"{name} is truncated: its header declares {total:,} bytes, more than the file can hold; fetch or "
            "copy it again."
        )
    if total > MAX_BYTES:
        raise DataError(f"{name} declares {total:,} bytes, more than the 1 GiB allowed: divide it.")
    content += read_at_most(stream, total - len(content))
    if len(content) < total:
        raise DataError(
            f"{name} is truncated: its header declares {total:,} bytes, but there are {len(content):,}; fetch or "
            "copy it again."
        )
    if stream.read(1):
        raise DataError(
            f"{name} has bytes after the {total:,} that its header declares: it is damaged or not what it says; "
            "fetch or copy it again."
        )
    return content


def idx_array(content: bytearray) -> Array:
    """The array that a checked IDX `content` holds; it shares the content's memory where it can."""
    axes = content[3]
    shape = struct.unpack(f">{axes}I", content[4 : 4 + 4 * axes])
    big_endian = np.frombuffer(content, _IDX_TYPES[content[2]], offset=4 + 4 * axes).reshape(shape)
    return big_endian.astype(big_endian.dtype.newbyteorder("="), copy=False)


def write_idx(path: str | Path, array: Array, overwrite: bool = False) -> None:
    """Write an IDX file; compressed with gzip when `path` ends in `.gz`.

    Args:
        path: where to write.
        array: 1 to 4 axes; uint8, int8, int16, int32, float32 or float64.
        overwrite: whether an existing file may be replaced.

    Raises:
        DataError: when IDX cannot hold the array.
        RunError: when the file exists and may not be replaced, or cannot be written.
    """
    code = _IDX_CODES.get(array.dtype.newbyteorder("="))
    if code is None or not 1 <= array.ndim <= _MAX_AXES or array.size == 0:
        raise DataError(
            f"IDX cannot hold an array of {array.dtype} with shape {array.shape}: give uint8, int8, int16, int32, "
            "float32 or float64 with 1 to 4 axes and something in it."
        )
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    content = header + array.astype(_IDX_TYPES[code]).tobytes()
    if Path(path).suffix == ".gz":
        # Without a time in it, the same digits give the same file.
        content = gzip.compress(content, mtime=0)
    write_aside(path, lambda file: file.write(content), overwrite)


def read_npz(path: str | Path) -> dict[str, Array]:
    """Read `images` and, where present, `labels` from an npz file, just as they are.

    Other arrays in the file are not touched. Nothing is unpickled, and sizes are checked before memory is taken.

    Raises:
        DataError: naming the file, when it is missing, damaged or not an npz, has no `images`, or holds Python
            objects or more than 1 GiB in one array.
    """
    return read_arrays(path, ("images",), ("labels",))


def read_arrays(path: str | Path, names: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Array]:
    """Read arrays of numbers from an npz file by their names, just as they are; see `read_npz`.

    Args:
        path: the file.
        names: the arrays that it must have.
        optional: more, which are read where they are present.

    Raises:
        DataError: as `read_npz` does.
    """
    with open_file(path) as file:
        try:
            # NumPy may warn about odd headers; what matters is checked below.
            with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(file) as archive:
                there = {name for name in (*names, *optional) if f"{name}.npy" in archive.namelist()}
                for name in names:
                    if name not in there:
                        raise DataError(f"{path} has no array named '{name}': save it as np.savez(path, {name}=...).")
                return {name: _read_npy(archive, name, str(path)) for name in (*names, *optional) if name in there}
        except DataError:
            raise
        except Exception as error:  # zipfile and NumPy meet damage with a dozen kinds of exception
            raise DataError(f"{path} is not a sound npz file ({error}): save or copy it again.") from error


def _read_npy(archive: zipfile.ZipFile, name: str, path: str) -> Array:
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as stream:
        version = np.lib.format.read_magic(stream)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read_header is None:
            raise DataError(f"'{name}' in {path} is of npy version {version}: save plain numbers again.")
        shape, fortran_order, dtype = read_header(stream)
        if dtype.hasobject or dtype.kind not in "buif":
            raise DataError(
                f"'{name}' in {path} holds {dtype}, not plain numbers: save it as an array of uint8 or float32."
            )
        size = math.prod(shape) * dtype.itemsize
        if size > MAX_BYTES:
            raise DataError(f"'{name}' in {path} declares {size:,} bytes, more than the 1 GiB allowed: divide it.")
        if min(shape, default=0) < 0 or stream.tell() + size != info.file_size:
            raise DataError(f"'{name}' in {path} is truncated or damaged: save or copy the file again.")
        body = read_at_most(stream, size)
        if len(body) != size or stream.read(1):
            raise DataError(f"'{name}' in {path} is truncated or damaged: save or copy the file again.")
    array = np.frombuffer(body, dtype).reshape(shape, order="F" if fortran_order else "C")
    return array.astype(dtype.newbyteorder("="), copy=False)


def write_npz(path: str | Path, images: Array, labels: Array | None = None, overwrite: bool = False) -> None:
    """Write a compressed npz file with `images` and, where given, `labels`.

    Raises:
        DataError: when an array holds anything but plain numbers.
        RunError: when the file exists and `overwrite` is False, or it cannot be written.
    """
    arrays = {"images": images} if labels is None else {"images": images, "labels": labels}
    for name, array in arrays.items():
        if array.dtype.kind not in "buif":
            raise DataError(f"'{name}' holds {array.dtype}, not plain numbers: give uint8 or float32.")
    write_aside(path, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays), overwrite)

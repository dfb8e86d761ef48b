"""Parquet tables of images, in the layout that Hugging Face `datasets` reads and writes."""

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from digitvae.data.digits import Digits, Pixels
from digitvae.data.files import MAX_BYTES, open_file, write_aside
from digitvae.data.fitting import Fitting
from digitvae.data.pictures import read_picture
from digitvae.data.pixels import as_labels
from digitvae.errors import DataError

if TYPE_CHECKING:
    from pyarrow import Table
    from pyarrow.parquet import ParquetFile

_BATCH = 256
_BATCH_BYTES = 2**26  # a value may be stored once for many rows, and each of them is given all of it
_MAX_ROWS = MAX_BYTES // 28**2


def read_parquet(path: str | Path) -> tuple[Digits, tuple[str, ...]]:
    """Read a Parquet table with a column `image` and, where present, `label`, and fit the images to 28x28.

    `image` holds picture files: either their bytes, or Hugging Face's struct of `bytes` and `path` (paths are not
    followed). `label` holds whole numbers from 0 to 9. Other columns are not touched.

    Returns:
        The digits, and sentences saying what was done.

    Raises:
        DataError: naming the file, when it is missing, damaged, of another layout, or larger than 1 GiB.
    """
    import pyarrow.parquet as pq

    fitting = Fitting(str(path))
    labels: list[Any] = []
    with open_file(path) as file:
        try:
            table = pq.ParquetFile(file)
            columns = _columns(table, str(path))
            count, read = 0, 0
            for batch in table.iter_batches(batch_size=_rows_at_once(table), columns=columns, use_threads=False):
                for image in batch.column("image").to_pylist():
                    read += _add(fitting, image, f"Row {count} of {path}")
                    count += 1
                if read > MAX_BYTES:
                    raise DataError(f"{path} holds more than the 1 GiB of pictures allowed: divide it.")
                if "label" in columns:
                    labels += batch.column("label").to_pylist()
        except DataError:
            raise
        except Exception as error:  # pyarrow meets damage with several kinds of exception
            raise DataError(f"{path} is not a sound Parquet file ({error}): save or copy it again.") from error
    images, notes = fitting.result()
    if "label" not in columns:
        return Digits(images), notes
    if None in labels:
        raise DataError(f"{path} has no label in row {labels.index(None)}: give every image one.")
    return Digits(images, as_labels(np.array(labels), len(images), f"The labels in {path}")), notes


def _columns(table: "ParquetFile", name: str) -> list[str]:
    """The columns to read, once the layout and the declared size are found good."""
    import pyarrow as pa

    schema = table.schema_arrow
    if "image" not in schema.names:
        raise DataError(f"{name} has no column 'image' (it has {', '.join(schema.names)}): rename or add it.")
    kind = schema.field("image").type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        kind = kind.field("bytes").type
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise DataError(
            f"The column 'image' in {name} is {kind}: give picture files as bytes, or as a struct with 'bytes'."
        )
    columns = [column for column in ("image", "label") if column in schema.names]
    if "label" in columns and not pa.types.is_integer(schema.field("label").type):
        raise DataError(f"The column 'label' in {name} is {schema.field('label').type}: give whole numbers.")
    metadata = table.metadata
    size = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    if size > MAX_BYTES:
        raise DataError(f"{name} declares {size:,} bytes, more than the 1 GiB allowed: divide it.")
    if metadata.num_rows > _MAX_ROWS:
        raise DataError(f"{name} declares {metadata.num_rows:,} rows, more than the {_MAX_ROWS:,} allowed: divide it.")
    return columns


def _rows_at_once(table: "ParquetFile") -> int:
    """So few rows that they fit into memory, even where each of them is all that its group of rows holds."""
    metadata = table.metadata
    largest = max((metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)), default=0)
    return max(1, min(_BATCH, _BATCH_BYTES // max(1, largest)))


def _add(fitting: Fitting, image: Any, name: str) -> int:
    """Fit an image, or note what is wrong with it; the bytes that it was stored in."""
    content = image.get("bytes") if isinstance(image, dict) else image
    try:
        if content is None:
            raise DataError(f"{name} has no image bytes: store the picture files themselves in the table.")
        fitting.add(read_picture(content, name), name)
    except DataError as error:
        fitting.refuse(error)
    return len(content or b"")


def write_parquet(path: str | Path, digits: Digits, overwrite: bool = False) -> None:
    """Write digits as a Parquet table that `datasets.load_dataset("parquet", ...)` opens as images and class labels.

    Each image is a PNG; `read_parquet` gives the same digits back.

    Raises:
        RunError: when the file exists and `overwrite` is False, or it cannot be written.
    """
    import pyarrow.parquet as pq

    table = table_of(digits.images, digits.labels)
    write_aside(path, lambda file: pq.write_table(table, file), overwrite)


def table_of(images: Pixels, labels: Pixels | None, hands: "npt.NDArray[np.integer[Any]] | None" = None) -> "Table":
    """Digits, their labels and who wrote them as a table that says what its columns are."""
    import pyarrow as pa

    rows = [{"bytes": png(image), "path": None} for image in images]
    columns = {"image": pa.array(rows, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))}
    features: dict[str, Any] = {"image": {"_type": "Image"}}
    if labels is not None:
        columns["label"] = pa.array(labels, pa.int64())
        features["label"] = {"names": [str(digit) for digit in range(10)], "_type": "ClassLabel"}
    if hands is not None:
        columns["hand"] = pa.array(hands, pa.int32())
        features["hand"] = {"dtype": "int32", "_type": "Value"}
    # `datasets` learns from this key that the bytes are pictures and the numbers classes.
    described = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.table(columns).replace_schema_metadata(described)


def png(image: Pixels) -> bytes:
    """An image as the content of a PNG file, compressed lightly: twice as fast as usual, a few per cent larger."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG", compress_level=1)
    return content.getvalue()

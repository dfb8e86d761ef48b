"""The layouts that trainers of readers read: Tesseract's, PaddleOCR's, EasyOCR's, YOLO's and Hugging Face's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digitvae.data.files import refuse_existing
from digitvae.data.folders import LABELS_FILE
from digitvae.data.layouts import CARD_FILE, Layout, Plain
from digitvae.data.samples import SPLITS, Sample, from_png
from digitvae.errors import DataError, InputError, RunError

if TYPE_CHECKING:
    from pyarrow import Schema
    from pyarrow.parquet import ParquetWriter

MARK = "digitvae dataset"
"""What the card of every folder that was made here says."""

_ROW_GROUP = 200  # samples that a Parquet file is written in at a time
_OURS = {CARD_FILE, LABELS_FILE, *SPLITS, "dict.txt", "data.yaml", "images", "labels", "data"}
_OURS |= {f"rec_gt_{split}.txt" for split in SPLITS}


class Tesstrain(Plain):
    """Tesseract's trainer: the text of each picture in a ``.gt.txt`` beside it."""

    use = (
        "tesstrain: `make training MODEL_NAME=digits GROUND_TRUTH_DIR=FOLDER/train`. It takes its own evaluation lines "
        "from that folder; `validation` and `test` are for `lstmeval`, with hands that it has not seen."
    )

    def own(self, sample: Sample, file: str) -> dict[str, str]:
        """The text."""
        return {f"{file.removesuffix('.png')}.gt.txt": f"{sample.text}\n"}


class PaddleOCR(Plain):
    """PaddleOCR's recogniser: a list for each split, path and text with a tab between, and a dictionary."""

    use = (
        "PaddleOCR: a `SimpleDataSet` with `data_dir: FOLDER` and `label_file_list: [FOLDER/rec_gt_train.txt]`; "
        "`character_dict_path: FOLDER/dict.txt` and `use_space_char: true`."
    )

    def listed(self, sample: Sample, file: str) -> dict[str, str]:
        """Path and text."""
        return {f"rec_gt_{sample.split}.txt": f"{file}\t{sample.text}\n"}

    def once(self) -> dict[str, str]:
        """The dictionary: a character a line."""
        return {"dict.txt": "".join(f"{character}\n" for character in self.characters)}


class EasyOCR(Plain):
    """EasyOCR's trainer: a ``labels.csv`` in the folder of each split; its text is all that follows the first comma."""

    use = (
        "EasyOCR: `train_data: FOLDER`, `select_data: train`, `valid_data: FOLDER/validation`. Where all texts of a "
        "split are plain numbers, pandas makes numbers of them and the trainer stops (its issue 936): add `dtype=str` "
        "to the `read_csv` in its `dataset.py`."
    )

    def listed(self, sample: Sample, file: str) -> dict[str, str]:
        """Name and text; nothing is quoted."""
        return {f"{sample.split}/{LABELS_FILE}": f"{file.removeprefix(f'{sample.split}/')},{sample.text}\n"}

    def header(self, name: str) -> str:
        """The columns."""
        return super().header(name) or "filename,words\n"


class Yolo(Plain):
    """YOLO's detector: a box a line, its class, then its centre and size as shares of the picture."""

    pictures = "images/"
    use = "YOLO: `yolo detect train data=FOLDER/data.yaml`. Each kind of character is a class."

    def own(self, sample: Sample, file: str) -> dict[str, str]:
        """The boxes."""
        height, width = sample.image.shape[:2]
        lines = []
        for box in sample.boxes:
            across, down = box["left"] + box["width"] / 2, box["top"] + box["height"] / 2
            shares = (across / width, down / height, box["width"] / width, box["height"] / height)
            lines.append(" ".join([str(self.characters.index(box["text"])), *(f"{share:.6f}" for share in shares)]))
        name = file.removeprefix(self.pictures).removesuffix(".png")
        return {f"labels/{name}.txt": "".join(f"{line}\n" for line in lines)}

    def once(self) -> dict[str, str]:
        """Where the splits are, and the classes, which are the same whatever characters occur."""
        there = self.there()
        # The trainer wants something to validate on in any case.
        places = {"train": "train", "val": "validation" if "validation" in there else "train"}
        places |= {"test": "test"} if "test" in there else {}
        content = "".join(f"{name}: images/{split}\n" for name, split in places.items())
        content += "names:\n"
        content += "".join(f"  {place}: {json.dumps(character)}\n" for place, character in enumerate(self.characters))
        return {"data.yaml": content}


class Parquet(Layout):
    """Hugging Face `datasets`: a table for each split, with columns ``image``, ``text``, ``hand`` and ``boxes``."""

    use = 'Hugging Face: `datasets.load_dataset("FOLDER")`.'

    def front(self) -> str:
        """Where the splits are, as the Hub reads it."""
        lines = ["---", "configs:", "- config_name: default", "  data_files:"]
        for split in self.there():
            lines += [f"  - split: {split}", f"    path: {_table(split)}"]
        return "\n".join([*lines, "---", "", ""])

    def open(self) -> None:
        """Get ready to write."""
        super().open()
        self.writers: dict[str, ParquetWriter] = {}
        self.waiting: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}

    def write(self, sample: Sample, picture: bytes) -> None:
        """Let a sample wait until there are enough for a row group."""
        rows = self.waiting[sample.split]
        image = {"bytes": picture, "path": f"{sample.number:06d}.png"}
        rows.append({"image": image, "text": sample.text, "hand": sample.hand, "boxes": sample.boxes})
        if len(rows) == _ROW_GROUP:
            self._flush(sample.split)

    def _flush(self, split: str) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if split not in self.writers:
            (self.aside / "data").mkdir(exist_ok=True)
            file = self.files.enter_context((self.aside / _table(split)).open("xb"))
            self.writers[split] = self.files.enter_context(pq.ParquetWriter(file, _schema()))
        self.writers[split].write_table(pa.Table.from_pylist(self.waiting[split], _schema()))
        self.waiting[split] = []

    def close(self, whole: bool) -> None:
        """Write what still waits, and let go of all files."""
        try:
            for split in self.there() if whole else ():
                if self.waiting[split]:
                    self._flush(split)
        finally:
            super().close(whole)

    def read(self) -> Iterator[Sample]:
        """The samples, split by split."""
        import pyarrow.parquet as pq

        for split in SPLITS:
            path = self.path / _table(split)
            if split == "train" or path.exists():
                with path.open("rb") as file:
                    for batch in pq.ParquetFile(file).iter_batches(_ROW_GROUP, use_threads=False):
                        for row in batch.to_pylist():
                            number = int(row["image"]["path"].removesuffix(".png"))
                            image = from_png(row["image"]["bytes"])
                            yield Sample(number, split, image, row["text"], row["hand"], row["boxes"])


LAYOUTS: dict[str, type[Layout]] = {
    "png": Plain,
    "tesstrain": Tesstrain,
    "paddleocr": PaddleOCR,
    "easyocr": EasyOCR,
    "yolo": Yolo,
    "parquet": Parquet,
}
"""The layouts by the names that users give them."""


def open_layout(path: str | Path, kind: str, characters: str, overwrite: bool = False) -> Layout:
    """A folder for samples.

    Args:
        path: The folder.
        kind: One of `LAYOUTS`.
        characters: All that may be written; a space has no box and is left out.
        overwrite: Whether a folder that was made so before may be replaced.

    Raises:
        InputError: If there is no such layout.
        RunError: If the folder exists and may not be replaced, or is not of this make; on leaving it, if it cannot be
            written.
    """
    layout = _layout(path, kind, characters)
    refuse_existing(layout.path, overwrite)
    if layout.path.exists() and not _is_ours(layout.path):
        raise RunError(f"{path} holds other things, so it is not overwritten; choose another name.")
    return layout


def read_layout(path: str | Path, kind: str, characters: str) -> Iterator[Sample]:
    """The samples of a folder, read from the disk; arguments as for `open_layout`.

    Raises:
        InputError: If there is no such layout.
        DataError: If files are missing or damaged, or do not say the same.
    """
    layout = _layout(path, kind, characters)
    try:
        for sample in layout.read():
            sample.check()
            yield sample
    except DataError:
        raise
    except Exception as error:  # Pillow and pyarrow meet damage with many kinds of exception
        raise DataError(f"{path} is not a sound {kind} folder ({error}): make it anew.") from error


def _layout(path: str | Path, kind: str, characters: str) -> Layout:
    if kind not in LAYOUTS:
        raise InputError(f"There is no format '{kind}'; use one of: {', '.join(LAYOUTS)}.")
    return LAYOUTS[kind](Path(path), characters.replace(" ", ""))


def _is_ours(path: Path) -> bool:
    """Whether a path is an empty folder, or one that was made here and holds nothing else."""
    if not path.is_dir():
        return False
    names = {entry.name for entry in path.iterdir()}
    if CARD_FILE in names and names <= _OURS:
        return MARK in (path / CARD_FILE).read_text("utf-8", "replace")
    return not names


def _table(split: str) -> str:
    return f"data/{split}-00000-of-00001.parquet"


def _schema() -> Schema:
    """What the columns are; `datasets` learns from the key that the bytes are pictures."""
    import pyarrow as pa

    places = ("left", "top", "width", "height")
    kinds = {"text": "string", **dict.fromkeys(places, "int32")}
    box = pa.struct([(name, pa.type_for_alias(kind)) for name, kind in kinds.items()])
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {"image": image, "text": pa.string(), "hand": pa.int64(), "boxes": pa.list_(box)}

    def value(kind: str) -> dict[str, str]:
        return {"dtype": kind, "_type": "Value"}

    # A list in brackets is what all versions of `datasets` read; only later ones know a type of that name.
    boxes = [{name: value(kind) for name, kind in kinds.items()}]
    features = {"image": {"_type": "Image"}, "text": value("string"), "hand": value("int64"), "boxes": boxes}
    return pa.schema(columns, {"huggingface": json.dumps({"info": {"features": features}})})

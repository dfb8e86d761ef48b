"""Digits in: MNIST and what stands for it, the user's own, and who wrote them; digits out in four formats."""

from digitvae.data.digits import Digits, Splits, Writers
from digitvae.data.folders import read_folder, write_folder
from digitvae.data.formats import read_idx, read_npz, write_idx, write_npz
from digitvae.data.own import load_digits
from digitvae.data.sources import load_writers
from digitvae.data.splits import load_splits
from digitvae.data.tables import read_parquet, write_parquet

__all__ = [
    "Digits",
    "Splits",
    "Writers",
    "load_digits",
    "load_splits",
    "load_writers",
    "read_folder",
    "read_idx",
    "read_npz",
    "read_parquet",
    "write_folder",
    "write_idx",
    "write_npz",
    "write_parquet",
]

"""Digits in: MNIST and what stands for it, the user's own, and who wrote them; digits out in four formats."""

from digitvae.data.digits import Digits, Splits, Writers
from digitvae.data.sources import load_writers
from digitvae.data.splits import load_splits

__all__ = ["Digits", "Splits", "Writers", "load_splits", "load_writers"]

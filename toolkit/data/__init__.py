"""Datasets: where they come from, what they hold, how they are split."""

from toolkit.data.dataset import PARTS, Column, Dataset, Facts

__all__ = ["PARTS", "Column", "Dataset", "Facts"]

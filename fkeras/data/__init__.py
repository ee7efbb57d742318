"""What models are fed with: anything that holds rows becomes a source of equally shaped batches."""

from fkeras.data.datasets import Dataset
from fkeras.data.sources import PyDataset, Sequence, Source, make_source

__all__ = ["Dataset", "PyDataset", "Sequence", "Source", "make_source"]

"""What models are fed with: anything that holds rows becomes a source of equally shaped batches."""

from fkeras.data.datasets import Dataset
from fkeras.data.pydataset import PyDataset, Sequence
from fkeras.data.sources import Source, make_source

__all__ = ["Dataset", "PyDataset", "Sequence", "Source", "make_source"]

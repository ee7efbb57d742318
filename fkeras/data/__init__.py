"""What models are fed with: anything that holds rows becomes a source of equally shaped batches."""

from fkeras.data.sources import PyDataset, Sequence, Source, make_source

__all__ = ["PyDataset", "Sequence", "Source", "make_source"]

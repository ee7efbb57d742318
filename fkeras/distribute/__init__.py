"""Training on many devices: `compile(distribute=DataParallel())`, or `with DataParallel(4): model.fit(...)`."""

from fkeras.distribute.parallel import DataParallel

__all__ = ["DataParallel"]

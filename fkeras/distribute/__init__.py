"""Training on many devices and hosts: `compile(distribute=DataParallel())`, `with DataParallel(4): model.fit(...)`."""

from fkeras.distribute.parallel import DataParallel
from fkeras.distribute.processes import initialize, is_main

__all__ = ["DataParallel", "initialize", "is_main"]

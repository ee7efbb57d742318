"""Training on many devices and hosts: `compile(distribute=DataParallel())`, `with DataParallel(4): model.fit(...)`."""

from fkeras.core.messages import is_main
from fkeras.distribute.parallel import DataParallel
from fkeras.distribute.processes import initialize

__all__ = ["DataParallel", "initialize", "is_main"]

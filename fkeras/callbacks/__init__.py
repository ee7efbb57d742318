"""What happens around training: stopping, saving, recording, showing. Keras 3's callbacks.

`TensorBoard` is not here: it needs packages of its own. `SwapEMAWeights` needs an optimizer
that averages, and `OrbaxCheckpoint` needs Orbax.
"""

from fkeras.callbacks.base import Callback, LambdaCallback
from fkeras.callbacks.callback_list import CallbackList
from fkeras.callbacks.checkpoint import BackupAndRestore, ModelCheckpoint
from fkeras.callbacks.logs import Logs
from fkeras.callbacks.monitor import EarlyStopping, ReduceLROnPlateau, TerminateOnNaN
from fkeras.callbacks.progbar import Progbar, ProgbarLogger
from fkeras.callbacks.records import CSVLogger, History
from fkeras.callbacks.remote import RemoteMonitor
from fkeras.callbacks.schedule import LearningRateScheduler

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "Logs",
    "ModelCheckpoint",
    "Progbar",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "RemoteMonitor",
    "TerminateOnNaN",
]


def __dir__():
    return sorted(__all__)

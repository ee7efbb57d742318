"""What happens around training: stopping, saving, recording, showing. Keras 3's callbacks.

`OrbaxCheckpoint` is not here: it needs Orbax.
"""

from fkeras.callbacks.averages import SwapEMAWeights
from fkeras.callbacks.base import Callback, LambdaCallback
from fkeras.callbacks.callback_list import CallbackList
from fkeras.callbacks.checkpoint import BackupAndRestore, ModelCheckpoint
from fkeras.callbacks.logs import Logs
from fkeras.callbacks.monitor import EarlyStopping, ReduceLROnPlateau, TerminateOnNaN
from fkeras.callbacks.norms import GradientNorms
from fkeras.callbacks.progbar import Progbar, ProgbarLogger
from fkeras.callbacks.records import CSVLogger, History
from fkeras.callbacks.remote import RemoteMonitor
from fkeras.callbacks.schedule import LearningRateScheduler
from fkeras.callbacks.tensorboard import TensorBoard

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "GradientNorms",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "Logs",
    "ModelCheckpoint",
    "Progbar",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "RemoteMonitor",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
]


def __dir__():
    return sorted(__all__)

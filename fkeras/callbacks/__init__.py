"""What happens around training: stopping, saving, recording, showing. Keras 3's callbacks.

`TensorBoard` and `RemoteMonitor` are not here: they need packages of their own. `SwapEMAWeights` needs an optimizer
that averages, and `OrbaxCheckpoint` needs Orbax.
"""

from .base import Callback, CallbackList, LambdaCallback
from .checkpoint import BackupAndRestore, ModelCheckpoint
from .logs import Logs
from .monitor import EarlyStopping, ReduceLROnPlateau, TerminateOnNaN
from .progbar import Progbar, ProgbarLogger
from .records import CSVLogger, History
from .schedule import LearningRateScheduler

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
    "TerminateOnNaN",
]

# mypy: ignore-errors
# Written by .ci/stubs.py from the signatures of the package.
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from fkeras.core.settings import Configured

_Named = str | Callable[..., Any] | dict[str, Any] | None  # a name, a function, an object or its config
_Sizes = int | Sequence[int]  # one for all axes, or one an axis
_Rate = float | Callable[..., Any] | dict[str, Any]  # a number or a schedule

from fkeras.core.settings import serialize as serialize
from fkeras.losses import deserialize as deserialize
from fkeras.losses.base import Reduction as Reduction
from fkeras.losses.base import as_loss as as_loss
from fkeras.losses.base import check_targets as check_targets
from fkeras.losses.base import ratio as ratio
from fkeras.losses.crossentropy import binary_crossentropy as BCE
from fkeras.losses.crossentropy import categorical_crossentropy as categorical_crossentropy
from fkeras.losses.crossentropy import crossentropy as crossentropy
from fkeras.losses.crossentropy import sparse_categorical_crossentropy as sparse_categorical_crossentropy
from fkeras.losses.focal import binary_focal_crossentropy as binary_focal_crossentropy
from fkeras.losses.focal import categorical_focal_crossentropy as categorical_focal_crossentropy
from fkeras.losses.focal import categorical_generalized_cross_entropy as categorical_generalized_cross_entropy
from fkeras.losses.hinge import categorical_hinge as categorical_hinge
from fkeras.losses.hinge import hinge as hinge
from fkeras.losses.hinge import squared_hinge as squared_hinge
from fkeras.losses.probabilistic import kl_divergence as KLD
from fkeras.losses.probabilistic import poisson as poisson
from fkeras.losses.regression import cosine_similarity as cosine_similarity
from fkeras.losses.regression import huber as huber
from fkeras.losses.regression import log_cosh as log_cosh
from fkeras.losses.regression import mean_absolute_error as MAE
from fkeras.losses.regression import mean_absolute_percentage_error as MAPE
from fkeras.losses.regression import mean_squared_error as MSE
from fkeras.losses.regression import mean_squared_logarithmic_error as MSLE
from fkeras.losses.segmentation import dice as dice
from fkeras.losses.segmentation import tversky as tversky
from fkeras.losses.sequence import ctc as ctc
from fkeras.losses.similarity import circle as circle

bce = BCE

binary_crossentropy = BCE

get: Any

kl_divergence = KLD

kld = KLD

kullback_leibler_divergence = KLD

logcosh = log_cosh

mae = MAE

mape = MAPE

mean_absolute_error = MAE

mean_absolute_percentage_error = MAPE

mean_squared_error = MSE

mean_squared_logarithmic_error = MSLE

mse = MSE

msle = MSLE

registry: Any

class Loss(Configured):
    name: Any = None
    reduction: Any = 'sum_over_batch_size'
    dtype: Any = None
    def __init__(self, name: str | None = None, reduction: str = 'sum_over_batch_size', dtype: Any = None) -> None: ...
    labels: ClassVar[Any]
    joins_rows: ClassVar[Any]
    def call(self, y_true: Any, y_pred: Any) -> Any: ...
    def values(self, y_true: Any, y_pred: Any) -> Any: ...
    def masked_values(self, y_true: Any, y_pred: Any, rows: Any = None) -> Any: ...
    def prepare(self, y_true: Any, y_pred: Any) -> Any: ...
    def row_mask(self, values: Any, rows: Any) -> Any: ...
    def rows_meet(self, y_true: Any, y_pred: Any) -> Any: ...
    def per_row(self, y_true: Any, y_pred: Any) -> Any: ...
    def sees_batch(self, y_true: Any, y_pred: Any) -> Any: ...
    def total(self, y_true: Any, y_pred: Any, sample_weight: Any = None, mask: Any = None, rows: Any = None) -> Any: ...
    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None, *, mask: Any = None, rows: Any = None) -> Any: ...
    def check_targets(self, y_true: Any, y_pred_shape: Any) -> Any: ...
    def get_config(self) -> Any: ...

class FunctionLoss(Loss):
    fn: Any
    def __init__(self, fn: Any, reduction: str = 'sum_over_batch_size', name: str | None = None, dtype: Any = None) -> None: ...
    def check(self) -> Any: ...
    def call(self, y_true: Any, y_pred: Any) -> Any: ...
    def get_config(self) -> Any: ...

LossFunctionWrapper = FunctionLoss

class Standard(Loss):
    def __init__(self, reduction: str = 'sum_over_batch_size', name: str | None = None, dtype: Any = None) -> None: ...
    def options(self) -> Any: ...
    def call(self, y_true: Any, y_pred: Any) -> Any: ...
    def check_targets(self, y_true: Any, y_pred_shape: Any) -> Any: ...

class CTC(Standard):
    def __init__(self, reduction: str = 'sum_over_batch_size', name: str | None = None, dtype: Any = None) -> None: ...
    @staticmethod
    def function(y_true: Any, y_pred: Any) -> Any: ...
    def check_targets(self, y_true: Any, y_pred_shape: Any) -> Any: ...

class BinaryCrossentropy(Standard):
    from_logits: Any = False
    label_smoothing: Any = 0.0
    axis: Any = -1
    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1, reduction: str = 'sum_over_batch_size', name: str | None = None, dtype: Any = None) -> None: ...
    @staticmethod
    def function(y_true: Any, y_pred: Any, from_logits: Any = False, label_smoothing: Any = 0.0, axis: Any = -1) -> Any: ...
    def check_targets(self, y_true: Any, y_pred_shape: Any) -> Any: ...

class BinaryFocalCrossentropy(Standard):
    apply_class_balancing: Any = False
    alpha: Any = 0.25
    gamma: Any = 2.0
    from_logits: Any = False
    label_smoothing: Any = 0.0
    axis: Any = -1
    def __init__(self, apply_class_balancing: bool = False, alpha: float = 0.25, gamma: float = 2.0, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1, reduction: str = 'sum_over_batch_size', name: str | None = None, dtype: Any = None) -> None: ...
    @staticmethod
    def function(y_true: Any, y_pred: Any, apply_class_balancing: Any = False, alpha: Any = 0.25, gamma: Any = 2.0, from_logits: Any = False, label_smoothing: Any = 0.0, axis: Any = -1) -> Any: ...
    def check_targets(self, y_true: Any, y_pred_shape: Any) -> Any: ...

class CategoricalCrossentropy(Standard):
    from_logits: Any = False
    label_smoothing: Any = 0.0
    axis: Any = -1
    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1, reduction: str = 'sum_over_batch_size', name: str | None = None, dtype: Any = None) -> None: ...
    @staticmethod
    def function(y_true: Any, y_pred: Any, from_logits: Any = False, label_smoothing: Any = 0.0, axis: Any = -1) -> Any: ...
    def check_targets(self, y_true: Any, y_pred_shape: Any) -> Any: ...

class CategoricalFocalCrossentropy(Standard):
    alpha: Any = 0.25
    gamma: Any = 2.0
    from_logits: Any = False
    label_smoothing: Any = 0.0
    axis: Any = -1
    def __init__(self, alpha: float = 0.25, gamma: float = 2.0, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1, reduction: str = 'sum_over_batch_size', name: str | None = None, dtype: Any = None) -> None: ...
    @staticmethod
    def function(y_true: Any, y_pred: Any, alpha: Any = 0.25, gamma: Any = 2.0, from_logits: Any = False, label_smoothing: Any = 0.0, axis: Any = -1) -> Any: ...
    def check_targets(self, y_true: Any, y_pred_shape: Any) -> Any: ...

class CategoricalGeneralizedCrossEntropy(Standard):
    q: Any = 0.5
    def __init__(self, q: float = 0.5, reduction: str = 'sum_over_batch_size', name: str | None = None, dtype: Any = None) -> None: ...
    @staticmethod
    def function(y_true: Any, y_pred: Any, q: Any) -> Any: ...
    def check(self) -> Any: ...
    def check_targets(self, y_true: Any, y_pred_shape: Any) -> Any: ...

class CategoricalHinge(Standard):
    def __init__(self, reduction: str = 'sum_over_batch_size', name: str | None = None, dtype: Any = None) -> None: ...
    @staticmethod
    def function(y_true: Any, y_pred: Any) -> Any: ...
    def check_targets(self, y_true: Any, y_pred_shape: Any) -> Any: ...

class Circle(Standard):
    gamma: Any = 80.0
    margin: Any = 0.4
    remove_diagonal: Any = True
    def __init__(self, gamma: float = 80.0, margin: float = 0.4, remove_diagonal: bool = True, reduction: str = 'sum_over_batch_size', name: str | None = None, dtype: Any = None) -> None: ...
    @staticmethod
    def function(y_true: Any, y_pred: Any, ref_labels: Any = None, ref_embeddings: Any = None, remove_diagonal: Any = True, gamma: Any = 80, margin: Any = 0.4) -> Any: ...
    def masked_values(self, y_true: Any, y_pred: Any, rows: Any = None) -> Any: ...
    def check_targets(self, y_true: Any, y_pred_shape: Any) -> Any: ...

class CosineSimilarity(Standard):
    axis: Any = -1
    def __init__(self, axis: int = -1, reduction: str = 'sum_over_batch_size', name: str | None = None, dtype: Any = None) -> None: ...
    @staticmethod
    def function(y_true: Any, y_pred: Any, axis: Any = -1) -> Any: ...

class Crossentropy(Standard):
    def __init__(self, reduction: str = 'sum_over_batch_size', name: str | None = None, dtype: Any = None) -> None: ...
    @staticmethod
    def function(y_true: Any, y_pred: Any) -> Any: ...
    def check_targets(self, y_true: Any, y_pred_shape: Any) -> Any: ...

class Huber(Standard):
    delta: Any = 1.0
    def __init__(self, delta: float = 1.0, reduction: str = 'sum_over_batch_size', name: str = 'huber_loss', dtype: Any = None) -> None: ...
    @staticmethod
    def function(y_true: Any, y_pred: Any, delta: Any = 1.0) -> Any: ...

class KLDivergence(Standard):
    def __init__(self, reduction: str = 'sum_over_batch_size', name: str | None = None, dtype: Any = None) -> None: ...
    @staticmethod
    def function(y_true: Any, y_pred: Any) -> Any: ...

class LogCosh(Standard):
    def __init__(self, reduction: str = 'sum_over_batch_size', name: str | None = None, dtype: Any = None) -> None: ...
    @staticmethod
    def function(y_true: Any, y_pred: Any) -> Any: ...

class MeanAbsoluteError(Standard):
    def __init__(self, reduction: str = 'sum_over_batch_size', name: str | None = None, dtype: Any = None) -> None: ...
    @staticmethod
    def function(y_true: Any, y_pred: Any) -> Any: ...

class MeanAbsolutePercentageError(Standard):
    def __init__(self, reduction: str = 'sum_over_batch_size', name: str | None = None, dtype: Any = None) -> None: ...
    @staticmethod
    def function(y_true: Any, y_pred: Any) -> Any: ...

class MeanSquaredError(Standard):
    def __init__(self, reduction: str = 'sum_over_batch_size', name: str | None = None, dtype: Any = None) -> None: ...
    @staticmethod
    def function(y_true: Any, y_pred: Any) -> Any: ...

class MeanSquaredLogarithmicError(Standard):
    def __init__(self, reduction: str = 'sum_over_batch_size', name: str | None = None, dtype: Any = None) -> None: ...
    @staticmethod
    def function(y_true: Any, y_pred: Any) -> Any: ...

class Poisson(Standard):
    def __init__(self, reduction: str = 'sum_over_batch_size', name: str | None = None, dtype: Any = None) -> None: ...
    @staticmethod
    def function(y_true: Any, y_pred: Any) -> Any: ...

class SparseCategoricalCrossentropy(Standard):
    from_logits: Any = False
    ignore_class: Any = None
    axis: Any = -1
    def __init__(self, from_logits: bool = False, ignore_class: int | None = None, reduction: str = 'sum_over_batch_size', axis: int = -1, name: str | None = None, dtype: Any = None) -> None: ...
    @staticmethod
    def function(y_true: Any, y_pred: Any, from_logits: Any = False, ignore_class: Any = None, axis: Any = -1) -> Any: ...
    def masked_values(self, y_true: Any, y_pred: Any, rows: Any = None) -> Any: ...
    def check_targets(self, y_true: Any, y_pred_shape: Any) -> Any: ...

class Dice(Standard):
    axis: Any = None
    def __init__(self, reduction: str = 'sum_over_batch_size', name: str | None = None, axis: Any = None, dtype: Any = None) -> None: ...
    @staticmethod
    def function(y_true: Any, y_pred: Any, axis: Any = None) -> Any: ...

class Hinge(Standard):
    def __init__(self, reduction: str = 'sum_over_batch_size', name: str | None = None, dtype: Any = None) -> None: ...
    @staticmethod
    def function(y_true: Any, y_pred: Any) -> Any: ...

class SquaredHinge(Standard):
    def __init__(self, reduction: str = 'sum_over_batch_size', name: str | None = None, dtype: Any = None) -> None: ...
    @staticmethod
    def function(y_true: Any, y_pred: Any) -> Any: ...

class Tversky(Standard):
    alpha: Any = 0.5
    beta: Any = 0.5
    axis: Any = None
    def __init__(self, alpha: float = 0.5, beta: float = 0.5, reduction: str = 'sum_over_batch_size', name: str | None = None, axis: Any = None, dtype: Any = None) -> None: ...
    @staticmethod
    def function(y_true: Any, y_pred: Any, alpha: Any = 0.5, beta: Any = 0.5, axis: Any = None) -> Any: ...

__all__ = ['BCE', 'BinaryCrossentropy', 'BinaryFocalCrossentropy', 'CTC', 'CategoricalCrossentropy', 'CategoricalFocalCrossentropy', 'CategoricalGeneralizedCrossEntropy', 'CategoricalHinge', 'Circle', 'CosineSimilarity', 'Crossentropy', 'Dice', 'FunctionLoss', 'Hinge', 'Huber', 'KLD', 'KLDivergence', 'LogCosh', 'Loss', 'LossFunctionWrapper', 'MAE', 'MAPE', 'MSE', 'MSLE', 'MeanAbsoluteError', 'MeanAbsolutePercentageError', 'MeanSquaredError', 'MeanSquaredLogarithmicError', 'Poisson', 'Reduction', 'SparseCategoricalCrossentropy', 'SquaredHinge', 'Standard', 'Tversky', 'as_loss', 'bce', 'binary_crossentropy', 'binary_focal_crossentropy', 'categorical_crossentropy', 'categorical_focal_crossentropy', 'categorical_generalized_cross_entropy', 'categorical_hinge', 'check_targets', 'circle', 'cosine_similarity', 'crossentropy', 'ctc', 'deserialize', 'dice', 'get', 'hinge', 'huber', 'kl_divergence', 'kld', 'kullback_leibler_divergence', 'log_cosh', 'logcosh', 'mae', 'mape', 'mean_absolute_error', 'mean_absolute_percentage_error', 'mean_squared_error', 'mean_squared_logarithmic_error', 'mse', 'msle', 'poisson', 'ratio', 'registry', 'serialize', 'sparse_categorical_crossentropy', 'squared_hinge', 'tversky']

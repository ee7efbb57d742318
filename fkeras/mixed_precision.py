"""Dtype policies by the names of `keras.mixed_precision`."""

from fkeras.core.dtypes import DTypePolicy, dtype_policy, set_dtype_policy
from fkeras.optim import LossScaleOptimizer

Policy = DTypePolicy
global_policy, set_global_policy = dtype_policy, set_dtype_policy
global_dtype_policy, set_global_dtype_policy = dtype_policy, set_dtype_policy

__all__ = [
    "DTypePolicy",
    "LossScaleOptimizer",
    "Policy",
    "dtype_policy",
    "global_dtype_policy",
    "global_policy",
    "set_dtype_policy",
    "set_global_dtype_policy",
    "set_global_policy",
]

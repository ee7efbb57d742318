"""Dtype policies by the names of `keras.mixed_precision`."""

from fkeras.core.dtypes import DTypePolicy, dtype_policy, set_dtype_policy

Policy = DTypePolicy
global_policy, set_global_policy = dtype_policy, set_dtype_policy
global_dtype_policy, set_global_dtype_policy = dtype_policy, set_dtype_policy

__all__ = [
    "DTypePolicy",
    "Policy",
    "dtype_policy",
    "global_dtype_policy",
    "global_policy",
    "set_dtype_policy",
    "set_global_dtype_policy",
    "set_global_policy",
]

"""Dtype policies by the names of `keras.dtype_policies`: in which dtype layers keep their weights and compute."""

import collections.abc
import re

from fkeras.core.dtypes import DTypePolicy, dtype_policy, policy

FloatDTypePolicy = DTypePolicy  # Keras's older name


def get(identifier):
    """Returns the policy that `identifier` means: a policy, a name, a config dict, or None for the default.

    Example:
        >>> get("mixed_float16").compute_dtype
        'float16'
    """
    if isinstance(identifier, DTypePolicyMap):
        return identifier
    return deserialize(identifier) if isinstance(identifier, dict) else policy(identifier)


def serialize(dtype_policy):
    """Returns the config dict of a policy, as Keras 3 writes it.

    Example:
        >>> serialize(get("float16"))["config"]
        {'name': 'float16'}
    """
    return {
        "module": "keras",
        "class_name": type(dtype_policy).__name__,
        "config": dtype_policy.get_config(),
        "registered_name": None,
    }


def deserialize(config, custom_objects=None):
    """Returns the policy that a config dict describes.

    Args:
        custom_objects: {class name: class} of policies of your own.

    Raises:
        ValueError: There is no such class.
    """
    known = {"DTypePolicy": DTypePolicy, "FloatDTypePolicy": DTypePolicy, "DTypePolicyMap": DTypePolicyMap}
    cls = {**known, **(custom_objects or {})}.get(config.get("class_name"))
    if cls is None:
        raise ValueError(
            f"Unknown dtype policy class {config.get('class_name')!r}. Known: {', '.join(known)}. Quantization is not "
            f"part of fkeras."
        )
    return cls(**config["config"])


class DTypePolicyMap(collections.abc.MutableMapping):
    """Policies by the paths of layers: exact, else by the first pattern that matches the whole path, else the default.

    For code that hands each layer its own: `Dense(3, dtype=policies["encoder/dense"])`.

    Args:
        default_policy: Policy or name of all other paths; None is the global one when asked.
        policy_map: {path or regular expression: policy}.

    Example:
        >>> policies = DTypePolicyMap("float32", {"encoder/.*": "mixed_bfloat16"})
        >>> policies["encoder/dense"].compute_dtype, policies["head"].compute_dtype
        ('bfloat16', 'float32')
    """

    def __init__(self, default_policy=None, policy_map=None):
        self._default, self._given = (None if default_policy is None else get(default_policy)), default_policy
        self._policies = {}
        self.update(policy_map or {})

    @property
    def default_policy(self):
        """The policy of paths that no entry is for."""
        return dtype_policy() if self._default is None else self._default

    @property
    def name(self):
        return f"map_{self.default_policy.name}"

    @property
    def compute_dtype(self):
        return self.default_policy.compute_dtype

    @property
    def variable_dtype(self):
        return self.default_policy.variable_dtype

    quantization_mode = None

    def __getitem__(self, path):
        if path in self._policies:
            return self._policies[path]
        found = (value for pattern, value in self._policies.items() if re.fullmatch(pattern, path))
        return next(found, self.default_policy)

    def __setitem__(self, path, value):
        if path in self._policies:
            raise ValueError(f"DTypePolicyMap: {path!r} has a policy already, {self._policies[path]}. Delete it first.")
        self._policies[path] = get(value)

    def __delitem__(self, path):
        del self._policies[path]

    def __contains__(self, path):
        return path in self._policies

    def __iter__(self):
        return iter(self._policies)

    def __len__(self):
        return len(self._policies)

    def get_config(self):
        default = self._given if self._given is None or isinstance(self._given, str) else serialize(self._default)
        return {"default_policy": default, "policy_map": {k: serialize(v) for k, v in self._policies.items()}}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


__all__ = ["DTypePolicy", "DTypePolicyMap", "FloatDTypePolicy", "deserialize", "get", "serialize"]

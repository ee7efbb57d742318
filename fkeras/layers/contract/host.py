"""Layers that read text: they compute with NumPy, on the host, ahead of the compiled part of a model."""

import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fkeras.core import dtypes
from fkeras.core.dtypes import STRING
from fkeras.core.settings import setting
from fkeras.layers.contract.arguments import NOTHING
from fkeras.layers.contract.base import Layer
from fkeras.layers.contract.shapes import Spec, is_spec
from fkeras.layers.contract.texts import holds_text, is_text, text_array
from fkeras.layers.contract.variables import revision


def host_policy(value):
    """Converter: Keras has the dtype of texts or of whole numbers here; that is no policy for computing."""
    name = value.get("config", {}).get("name") if isinstance(value, dict) else getattr(value, "name", value)
    return dtypes.policy(None if str(name) in ("string", "int32", "int64") else value)


class HostLayer(Layer, kw_only=True):
    """Base of the layers that can run on the host. It has no trained arrays.

    A layer writes `host(x)`, a function of NumPy arrays, and `host_spec(x)`, what that returns for symbols. One that
    computes whole numbers too writes `forward` as any layer, for use anywhere in a graph, and says `only_host = False`.
    """

    dtype: Any = setting(host_policy, None, keyword=True, saved=False)

    on_host = True
    only_host = True  # it has no `forward`: it reads or gives text
    takes_ints = True
    _version = 0  # counts what changed of the settings that a program holds as constants

    def host(self, x):
        """Computes NumPy arrays (or texts) from NumPy arrays (or texts), a tree of them for several inputs."""
        raise TypeError(f"{type(self).__name__} has no `host(x)`.")

    def host_spec(self, x):
        """Returns the `Spec` of what `host` computes from symbols or specs."""
        raise TypeError(f"{type(self).__name__} has no `host_spec(x)`.")

    def compute_output_spec(self, x):
        return self.host_spec(x)

    def compute_output_shape(self, *shapes, **named):
        """As `Layer.compute_output_shape`."""
        if not self.only_host:
            return super().compute_output_shape(*shapes, **named)
        (shape,) = shapes or named.values()
        return self.host_spec(Spec(tuple(shape), "int32" if getattr(self, "invert", False) else STRING)).shape

    @property
    def flags(self):
        return *super().flags, self._version

    def _changed(self):
        """Says that programs which hold this layer are of the past."""
        object.__setattr__(self, "_version", self._version + 1)
        revision.changed()

    def __call__(self, x=NOTHING, *args, **kwargs):
        if x is not NOTHING and any(map(_in_tensorflow_graph, jax.tree.leaves(x))):
            return self._in_tensorflow(x)
        return super().__call__(x, *args, **kwargs)

    def _arrays(self, x):
        return self.prepared(x)

    def prepared(self, x):
        return jax.tree.map(_on_host, x, is_leaf=is_spec)

    def apply_masked(self, params, state, x, ctx):
        x = self.prepared(x)
        leaves = jax.tree.leaves(x)
        traced = any(isinstance(a, jax.core.Tracer) for a in leaves)
        if not traced:
            return _handed_over(self.host(jax.tree.map(np.asarray, x))), state, None
        if self.only_host or holds_text(x):
            raise TypeError(
                f"{self.label}: it reads or gives text, which a compiled function cannot hold. Call it before jit, or "
                f"begin a model with it: Input((1,), dtype='string')."
            )
        return super().apply_masked(params, state, x, ctx)

    def _in_tensorflow(self, x):
        """Computes in a graph of TensorFlow's, as `tf.data.Dataset.map` draws it, by a call back to the host."""
        tf = sys.modules["tensorflow"]
        leaves, form = jax.tree.flatten(x)
        specs = [Spec((None, *a.shape[1:]) if len(a.shape) else (1,), _dtype_of(a)) for a in leaves]
        spec = self.host_spec(jax.tree.unflatten(form, specs))
        dtype = tf.string if spec.dtype == STRING else tf.dtypes.as_dtype(spec.dtype)

        def run(*arrays):
            y = self.host(jax.tree.unflatten(form, [_on_host(a) for a in arrays]))
            return y.astype(object) if spec.dtype == STRING else y

        y = tf.numpy_function(run, leaves, dtype)
        if len(leaves[0].shape):
            y.set_shape((leaves[0].shape[0], *spec.shape[1:]))
        return y


def _on_host(a):
    """Returns text, and numbers that are not JAX's, as NumPy arrays; JAX's and what is traced as they are."""
    if is_spec(a) or isinstance(a, jax.Array):
        return a
    if is_text(a):
        return text_array(a)
    return np.asarray(a.numpy() if hasattr(a, "numpy") and not isinstance(a, np.ndarray) else a)


def _handed_over(y):
    return y if is_text(y) else jnp.asarray(y)


def _in_tensorflow_graph(a):
    return type(a).__module__.startswith("tensorflow") and not hasattr(a, "numpy")


def _dtype_of(a):
    return STRING if a.dtype.name == "string" else a.dtype.as_numpy_dtype

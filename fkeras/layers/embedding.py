"""Embedding: vectors looked up by integer."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from fkeras import constraints, initializers, regularizers
from fkeras.core import dtypes
from fkeras.core.settings import optional, positive_int, setting
from fkeras.layers.contract import custom
from fkeras.layers.contract.base import Spec, Weight, layers
from fkeras.layers.contract.variables import Given
from fkeras.layers.contract.weight_settings import weight
from fkeras.layers.lora import Lora


def embed(indices, embeddings):
    """Looks up rows: y[...] = embeddings[indices[...]].

    Args:
        indices: Int array [...] in [0, V). An index past the table gives NaN, as in Keras on JAX.
        embeddings: Float array [V, U].

    Returns:
        Float array [..., U].

    Example:
        >>> embed(jnp.array([1, 0]), jnp.array([[1.0], [2.0]])).tolist()
        [[2.0], [1.0]]
    """
    return jnp.take(embeddings, indices, axis=0)


@layers.register
class Embedding(Lora):
    """Turns whole numbers into trained vectors.

    Args:
        input_dim: Size of the table: the largest index plus 1.
        output_dim: Size of the vectors.
        embeddings_initializer, embeddings_regularizer, embeddings_constraint: Of the table.
        mask_zero: Index 0 is padding: the output's mask is False there.
        lora_rank, lora_alpha: See `Lora`.
        initial_table: Array [input_dim, output_dim] that the table starts from, or None; not part of the config.

    Input shape: [...] of ints, or of floats that are whole. Output shape: [..., output_dim].

    Example:
        >>> Embedding(10, 4)(jnp.array([[1, 2, 3]])).shape
        (1, 3, 4)

    Reference:
        As Keras 3, whose argument `weights` is `initial_table` here.
    """

    input_dim: int = setting(positive_int)
    output_dim: int = setting(positive_int)
    embeddings_initializer: Any = setting(initializers, "uniform")
    embeddings_regularizer: Any = setting(optional(regularizers), None)
    embeddings_constraint: Any = setting(optional(constraints), None)
    mask_zero: bool = False
    initial_table: Any = setting(default=None, saved=False)
    takes_ints = "only"
    supports_masking = property(lambda self: self.mask_zero)
    adapts = "embeddings"
    casts = False  # rows are cast, not the table: less to do, and the gradients of a row add up in float32

    def check(self):
        shape = (self.input_dim, self.output_dim)
        if self.initial_table is not None:
            table = self.initial_table
            if isinstance(table, (list, tuple)) and len(table) == 1 and np.ndim(table[0]) == 2:
                self.initial_table = table = table[0]  # Keras's list of weights
            if np.shape(table) != shape:
                raise ValueError(f"{self.label}: expected a table of shape {shape}, got {np.shape(table)}.")
            self.build()

    def declare(self, shape):
        start = None if self.initial_table is None else Given(np.asarray(self.initial_table))
        table = (self.input_dim, self.output_dim)
        return self.with_adapters({"embeddings": weight(self, "embeddings", table, start)})

    def forward(self, params, state, x, ctx):
        return embed(x, params["embeddings"]).astype(self.dtype.compute_dtype), state

    def compute_mask(self, inputs, mask=None):
        return jnp.not_equal(inputs, 0) if self.mask_zero else None

    def compute_output_spec(self, x):
        return Spec((*x.shape, self.output_dim), self.dtype.compute_dtype)

    def check_values(self, x):
        """Raises ValueError for an index outside the table; `x` is a NumPy array on the host.

        On a device an index past the table cannot stop a compiled step, so whoever feeds data calls this first.
        """
        x = np.asarray(x)
        if x.size == 0:
            return
        low, high = x.min(), x.max()
        if not (low >= 0 and high < self.input_dim):
            worst = f"largest index {high}" if not high < self.input_dim else f"smallest index {low}"
            raise ValueError(
                f"{self.label}: {worst} is outside its table of {self.input_dim} rows, expected 0 to "
                f"{self.input_dim - 1}. Set input_dim to the largest index plus 1, or map rare words to one index."
            )
        if x.dtype.kind == "f" and (x != np.floor(x)).any():
            raise ValueError(f"{self.label}: expected whole numbers as indices, got {x[x != np.floor(x)][0]}.")

    def _cast_input(self, a, compute):
        a = jnp.asarray(a)
        # Straight to ints: in bfloat16 on the way there, indices above 256 would be rounded.
        return a if jnp.issubdtype(a.dtype, jnp.integer) else a.astype(jnp.int32)


@layers.register
class ReversibleEmbedding(Embedding):
    """An `Embedding` that also computes the way back: logits = x @ table.T, with `layer(x, reverse=True)`.

    Args:
        input_dim, output_dim, embeddings_initializer, embeddings_regularizer, embeddings_constraint, mask_zero: As in
            `Embedding`.
        tie_weights: The way back uses the same table; else one of its own, `reverse_embeddings`.
        reverse_dtype: Dtype that the way back is computed in; None is the layer's.
        logit_soft_cap: Logits are held inside of it: cap * tanh(logits / cap); None leaves them.

    Example:
        >>> layer = ReversibleEmbedding(10, 4)
        >>> layer(layer(jnp.array([[1, 2, 3]])), reverse=True).shape
        (1, 3, 10)

    Reference:
        Press & Wolf, "Using the Output Embedding to Improve Language Models", 2016, arXiv:1608.05859; as Keras 3.
    """

    input_dim: int = setting(positive_int)
    output_dim: int = setting(positive_int)
    tie_weights: bool = True
    embeddings_initializer: Any = setting(initializers, "uniform")
    embeddings_regularizer: Any = setting(optional(regularizers), None)
    embeddings_constraint: Any = setting(optional(constraints), None)
    mask_zero: bool = False
    reverse_dtype: Any = setting(optional(lambda d: dtypes.policy(d).compute_dtype), None)
    logit_soft_cap: Any = setting(optional(float), None)
    takes_ints = True
    call_order = ("reverse",)

    def pack(self, x, reverse=False):
        return custom.pack(x, (), {"reverse": True}) if reverse else x

    def declare(self, shape):
        weights = super().declare(shape)
        if not self.tie_weights:
            back = (self.output_dim, self.input_dim)
            weights["reverse_embeddings"] = Weight(back, self.embeddings_initializer)
        return weights

    def _compare(self, declared, shape):
        """Any shape fits: the table is the same both ways."""

    def _cast_input(self, a, compute):
        a = jnp.asarray(a)
        return a.astype(compute) if jnp.issubdtype(a.dtype, jnp.floating) else a

    def forward(self, params, state, x, ctx):
        (x,), options = custom.unpack(x)
        if not options.get("reverse"):
            return super().forward(params, state, x.astype(jnp.int32), ctx)
        table = params["embeddings"].T if self.tie_weights else params["reverse_embeddings"]
        dtype = self.reverse_dtype or self.dtype.compute_dtype
        logits = x.astype(dtype) @ table.astype(dtype)
        cap = self.logit_soft_cap
        return (logits if cap is None else cap * jnp.tanh(logits / cap)), state

    def compute_mask(self, inputs, mask=None):
        (x,), options = custom.unpack(inputs)
        return super().compute_mask(x) if not options.get("reverse") else None

    def compute_output_spec(self, x):
        (x,), options = custom.unpack(x)
        if not options.get("reverse"):
            return super().compute_output_spec(x)
        return Spec((*x.shape[:-1], self.input_dim), self.reverse_dtype or self.dtype.compute_dtype)

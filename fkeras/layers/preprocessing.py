"""Layers that prepare data: scaling, standardizing, binning and encoding categories."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fkeras.core import dtypes
from fkeras.core.dtypes import at_least_float32
from fkeras.core.settings import choice, optional, positive_int, setting
from fkeras.layers.contract.base import Layer, Weight, layers
from fkeras.layers.contract.shapes import Spec
from fkeras.layers.contract.texts import batches_of
from fkeras.layers.contract.variables import revision

# -------------------------------------------------------------------------------------- pure functions


def standardize(x, mean, variance, invert=False):
    """Takes the mean away and divides by the deviation, at least `fkeras.config.epsilon()`; `invert` goes back.

        y = (x - mean) / max(sqrt(variance), epsilon),  inverse: y = mean + x * max(sqrt(variance), epsilon)

    Example:
        >>> standardize(jnp.array([[5.0]]), jnp.array([[3.0]]), jnp.array([[4.0]])).tolist()
        [[1.0]]
    """
    deviation = jnp.maximum(jnp.sqrt(variance), jnp.asarray(dtypes.epsilon(), x.dtype))
    return mean + x * deviation if invert else (x - mean) / deviation


def encode_categories(indices, depth, mode, weights=None, dtype="float32"):
    """Encodes whole numbers as vectors.

    Args:
        indices: Int array.
        depth: Number of categories.
        mode: "one_hot": [...] or [..., 1] -> [..., depth]; "multi_hot" and "count": [B, N] -> [B, depth], 1 for each
            category that occurs, or how often it does.
        weights: Float array like `indices`: what each one counts, for "count".

    Example:
        >>> encode_categories(jnp.array([[0, 0, 2]]), 3, "count").tolist()
        [[2.0, 0.0, 1.0]]
    """
    indices = jnp.atleast_1d(indices)
    if mode == "one_hot":
        flat = indices[..., 0] if indices.ndim > 1 and indices.shape[-1] == 1 else indices
        return jax.nn.one_hot(flat, depth, dtype=dtype)
    each = jax.nn.one_hot(indices, depth, dtype=dtype)
    axis = 1 if indices.ndim > 1 else 0
    if mode == "multi_hot":
        return each.max(axis)
    return (each if weights is None else each * jnp.asarray(weights, dtype)[..., None]).sum(axis)


def batch_statistics(batches, axes):
    """Takes mean and variance over `axes` of all batches together, in float64 on the host, a batch at a time.

    Args:
        batches: Iterable of arrays.
        axes: Tuple of axes to reduce.

    Returns:
        (mean, variance, count): float64 arrays with the other axes, and an int.

    Raises:
        ValueError: There are no batches.

    Reference:
        Chan, Golub & LeVeque, "Algorithms for Computing the Sample Variance", 1983, eq. 2.1.
    """
    mean = variance = count = 0
    for batch in batches:
        batch = np.asarray(batch, np.float64)
        n, m, v = int(np.prod([batch.shape[a] for a in axes])), batch.mean(axes), batch.var(axes)
        count, share = count + n, n / max(count + n, 1)
        variance = (1 - share) * (variance + share * (m - mean) ** 2) + share * v
        mean = mean + share * (m - mean)
    if count == 0:
        raise ValueError("adapt: expected at least one batch of data, got none.")
    return mean, variance, count


def encode_on_host(indices, depth, mode, dtype="float32"):
    """As `encode_categories`, of a NumPy array with NumPy; an index of -1 is no category.

    Raises:
        ValueError: "multi_hot" or "count" of more than two axes.

    Example:
        >>> encode_on_host(np.array([[0, 0, -1]]), 2, "count").tolist()
        [[2.0, 0.0]]
    """
    indices = np.atleast_1d(indices)
    shape = encoded_shape(indices.shape, depth, mode)
    if mode != "one_hot" and indices.ndim > 2:
        raise ValueError(f"expected indices [B, N] for output_mode={mode!r}, got shape {indices.shape}.")
    flat = indices.reshape(-1, 1 if mode == "one_hot" else indices.shape[-1])
    out = np.zeros((len(flat), depth), dtype)
    rows, places = np.nonzero(flat >= 0)
    at = rows, flat[rows, places]
    if mode == "count":
        np.add.at(out, at, 1)
    else:
        out[at] = 1
    return out.reshape(shape)


def encoded_shape(shape, depth, mode, label=None):
    """Returns the shape of `encode_categories`; sizes that are not known are None.

    Args:
        label: Of a layer that is called in a graph, where rows must stay rows.

    Raises:
        ValueError: They would not.
    """
    if label is not None and len(shape) == 1 and mode != "one_hot":
        raise ValueError(
            f"{label}: output_mode={mode!r} makes one vector of a row, but the input has rows of no axis, shape "
            f"{tuple(shape)}. Begin with Input((1,), ...)."
        )
    if mode == "one_hot":
        return (*(shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape), depth)
    return (*shape[:1], *shape[2:], depth) if len(shape) > 1 else (depth,)


def sorted_place(bounds, x):
    """Returns how many of the rising `bounds` lie below each of `x`."""
    return _searched(bounds, x, "left")


def _searched(bounds, x, side):
    # Compared with all of them where they are few, else halved: no loop, which would be in exports a While.
    method = "compare_all" if len(bounds) <= 256 else "scan_unrolled"
    return jnp.searchsorted(bounds, x, side=side, method=method).astype(jnp.int32)


# --------------------------------------------------------------------------------------------- layers


def _number_or_list(value):
    return value.tolist() if hasattr(value, "tolist") else list(value) if isinstance(value, tuple) else value


def dense_only(value):
    """Converter of `sparse` and `ragged`."""
    if value:
        raise ValueError("sparse and ragged arrays do not exist in JAX; leave it out for a dense one.")
    return False


@layers.register
class Rescaling(Layer):
    """Scales and shifts: y = x * scale + offset.

    Args:
        scale, offset: Numbers, or lists that broadcast to the input's last axes.

    Example:
        >>> Rescaling(1 / 128, offset=-1.0)(jnp.array([[0, 192]])).tolist()
        [[-1.0, 0.5]]
    """

    scale: Any = setting(_number_or_list)
    offset: Any = setting(_number_or_list, 0.0)
    supports_masking = True

    def forward(self, params, state, x, ctx):
        scale, offset = jnp.asarray(self.scale, x.dtype), jnp.asarray(self.offset, x.dtype)
        if scale.ndim and dtypes.image_data_format() == "channels_first":
            scale = scale.reshape(scale.shape + (1,) * (3 - scale.ndim))
        scale, offset = (jnp.expand_dims(a, tuple(range(x.ndim - a.ndim))) for a in (scale, offset))
        return x * scale + offset, state


@layers.register
class Normalization(Layer):
    """Standardizes its input by a mean and variance that are given, or taken from data by `adapt`.

        y = (x - mean) / max(sqrt(variance), epsilon)

    Args:
        axis: Axis or axes with statistics of their own; None takes one mean of all numbers.
        mean, variance: Numbers or arrays that broadcast to the sizes of `axis`, both or none.
        invert: Undoes the standardization instead.

    Weights, where none are given: mean, variance (of `adapt`), count (always 0, as in Keras 3).

    Example:
        >>> layer = Normalization(axis=None)
        >>> layer.adapt(np.array([1.0, 3.0]))
        >>> layer(jnp.array([5.0])).tolist()
        [3.0]
    """

    axis: Any = setting(lambda a: () if a is None else tuple(a) if isinstance(a, (list, tuple)) else (int(a),), -1)
    mean: Any = setting(_number_or_list, None)
    variance: Any = setting(_number_or_list, None)
    invert: bool = False
    supports_masking = True

    def check(self):
        mean, variance = self._given
        if (mean is None) != (variance is None):
            raise ValueError(f"{self.label}: expected both mean and variance or neither, got {mean} and {variance}.")
        if np.shape(mean) != np.shape(variance):
            raise ValueError(
                f"{self.label}: expected mean and variance of one shape, got {np.shape(mean)} and {np.shape(variance)}."
            )
        if np.ndim(mean) > len(self.axis):
            raise ValueError(
                f"{self.label}: mean of shape {np.shape(mean)} has more axes than the layer keeps, axis {self.axis}."
            )

    @property
    def _given(self):
        return self.__dict__.get("_given_mean"), self.__dict__.get("_given_variance")

    def _kept(self, shape):
        for a in self.axis:
            if not -len(shape) <= a < len(shape):
                raise ValueError(f"{self.label}: axis {a} does not exist in an input of shape {tuple(shape)}.")
            if shape[a] is None:
                raise ValueError(f"{self.label}: the size of axis {a} must be known, got shape {tuple(shape)}.")
        return tuple(sorted(a % len(shape) for a in self.axis))

    def check_input(self, shape):
        kept = self._kept(shape)
        for value in self._given:
            if value is not None:
                try:
                    np.broadcast_to(value, tuple(shape[a] for a in kept))
                except ValueError:
                    raise ValueError(
                        f"{self.label}: mean and variance of shape {np.shape(value)} do not fit axis {self.axis} of an "
                        f"input of shape {tuple(shape)}."
                    ) from None

    def declare(self, shape):
        if self._given[0] is not None:
            return {}
        sizes = tuple(shape[a] for a in self._kept(shape))
        wide = at_least_float32(self.dtype.variable_dtype)  # float16 ends at 65504, a variance does not
        return {
            "mean": Weight(sizes, "zeros", trainable=False, dtype=wide),
            "variance": Weight(sizes, "ones", trainable=False, dtype=wide),
            "count": Weight((), "zeros", trainable=False, dtype="int32"),
        }

    def forward(self, params, state, x, ctx):
        mean, variance = self._given if self._given[0] is not None else (state["mean"], state["variance"])
        wide = at_least_float32(x.dtype)
        mean, variance = (self._spread(v, x.shape, wide) for v in (mean, variance))
        return standardize(x.astype(wide), mean, variance, self.invert).astype(x.dtype), state

    def _spread(self, value, shape, dtype):
        kept = self._kept(shape)
        value = jnp.broadcast_to(jnp.asarray(value, dtype), tuple(shape[a] for a in kept))
        return value.reshape([d if a in kept else 1 for a, d in enumerate(shape)])

    def adapt(self, data):
        """Takes mean and variance from `data`: an array, or an iterable of batches; forgets those before.

        Raises:
            ValueError: The layer was given its mean, `data` is empty, or does not fit the shape it was built with.
        """
        if self._given[0] is not None:
            raise ValueError(f"{self.label}: cannot adapt, its mean and variance were given.")
        batches = batches_of(data)
        first = next(batches, None)
        if first is None:
            raise ValueError(f"{self.label}: adapt expected at least one batch of data, got none.")
        self._ensure((None, *first.shape[1:]) if 0 not in self._kept(first.shape) else first.shape)
        axes = tuple(a for a in range(first.ndim) if a not in self._kept(first.shape))
        mean, variance, _ = batch_statistics(_chain(first, batches), axes)
        for name, value in (("mean", mean), ("variance", variance)):
            self._cell.put(name, jnp.asarray(value, self._cell.declared[name].dtype))

    def get_config(self):
        mean, variance = self._given
        return super().get_config() | {"axis": list(self.axis) or None, "mean": mean, "variance": variance}


def _statistic(name):
    def read(self):
        """The statistic with the input's rank; None before there is one."""
        given = self.__dict__.get(f"_given_{name}")
        if self.__dict__.get("_cell") is None:
            return given
        return self._spread(
            self._cell.get(name) if given is None else given, self._cell.shapes[0], self.dtype.compute_dtype
        )

    return property(read, lambda self, value: self.__dict__.__setitem__(f"_given_{name}", value))


# `mean` and `variance` are settings and, once adapted, numbers to look at.
Normalization.mean, Normalization.variance = _statistic("mean"), _statistic("variance")


def _chain(first, rest):
    yield first
    yield from rest


def _tokens(value):
    if value is None:
        raise ValueError("expected the number of categories: CategoryEncoding(num_tokens).")
    return positive_int(value)


@layers.register
class CategoryEncoding(Layer):
    """Encodes whole numbers as vectors of `num_tokens`; see `encode_categories`.

    Args:
        num_tokens: Number of categories.
        output_mode: "multi_hot", "one_hot" or "count".
        sparse: Only False: JAX has dense arrays alone.

    With "count", `layer(x, count_weights=w)` counts each by its weight.

    Example:
        >>> CategoryEncoding(4, "one_hot")(jnp.array([3, 0])).tolist()
        [[0.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0]]
    """

    num_tokens: int = setting(_tokens, None)
    output_mode: str = setting(
        lambda m: choice("multi_hot", "one_hot", "count")("multi_hot" if m == "binary" else m), "multi_hot"
    )
    sparse: bool = setting(dense_only, False)
    takes_ints = "only"

    def pack(self, x, count_weights=None):
        if count_weights is None:
            return x
        if self.output_mode != "count":
            raise ValueError(f"{self.label}: count_weights go with output_mode='count', this is {self.output_mode!r}.")
        return [x, count_weights]

    def forward(self, params, state, x, ctx):
        x, weights = x if isinstance(x, (list, tuple)) else (x, None)
        compute = self.dtype.compute_dtype
        return encode_categories(x.astype(jnp.int32), self.num_tokens, self.output_mode, weights, compute), state

    def check_values(self, x):
        """Raises ValueError for a number outside [0, num_tokens); `x` is a NumPy array on the host."""
        x = np.asarray(x)
        if x.size and not (x.min() >= 0 and x.max() < self.num_tokens):
            raise ValueError(
                f"{self.label}: expected numbers from 0 to {self.num_tokens - 1}, got {x.min()} to {x.max()}. "
                f"Set num_tokens to the largest plus 1."
            )


@layers.register
class Discretization(Layer):
    """Puts numbers into bins: bin i holds boundaries[i - 1] <= x < boundaries[i].

    Args:
        bin_boundaries: Rising numbers, or None to take them from data with `adapt`.
        num_bins: Number of bins that `adapt` makes, with as many numbers in each.
        epsilon: Kept for configs: `adapt` sorts the whole data, so that its quantiles are exact where Keras's are
            within `epsilon`.
        output_mode: "int", or as in `CategoryEncoding`.
        sparse: Only False: JAX has dense arrays alone.

    Example:
        >>> Discretization([0.0, 1.0])(jnp.array([-1.0, 0.0, 5.0])).tolist()
        [0, 1, 2]
    """

    rows_meet = False
    bin_boundaries: Any = setting(optional(lambda b: [float(v) for v in b]), None)
    num_bins: Any = setting(optional(positive_int), None)
    epsilon: float = setting(float, 0.01)
    output_mode: str = setting(choice("int", "one_hot", "multi_hot", "count"), "int")
    sparse: bool = setting(dense_only, False)
    dtype: Any = setting(dtypes.policy, None, saved=False)
    name: str = setting(default=None)

    def check(self):
        if self.bin_boundaries is not None and self.num_bins is not None:
            raise ValueError(
                f"{self.label}: expected bin_boundaries or num_bins, got both: adapt(data) makes num_bins."
            )
        if self.bin_boundaries is None and self.num_bins is None:
            raise ValueError(f"{self.label}: expected bin_boundaries, or num_bins and a call of adapt(data).")
        object.__setattr__(self, "_boundaries", self.bin_boundaries)

    def adapt(self, data):
        """Takes the boundaries from `data`: the quantiles 1/num_bins, 2/num_bins, ...

        Raises:
            ValueError: The layer was given its boundaries.
        """
        if self.num_bins is None:
            raise ValueError(f"{self.label}: cannot adapt, its bin_boundaries were given; give num_bins instead.")
        values = np.concatenate([b.astype(np.float64).ravel() for b in batches_of(data)])
        steps = np.arange(1, self.num_bins) / self.num_bins
        object.__setattr__(self, "_boundaries", np.quantile(values, steps).tolist())
        revision.changed()

    @property
    def flags(self):
        """Programs hold the boundaries as constants: those of others are of the past."""
        return *super().flags, tuple(self._boundaries or ())

    def forward(self, params, state, x, ctx):
        if self._boundaries is None:
            raise ValueError(f"{self.label} has no boundaries yet: call adapt(data), or give bin_boundaries.")
        bounds = jnp.asarray(self._boundaries, x.dtype)
        bins = _searched(bounds, x, "right")
        if self.output_mode == "int":
            return bins, state
        return encode_categories(bins, len(self._boundaries) + 1, self.output_mode, dtype=x.dtype), state

    def get_config(self):
        config = super().get_config() | {"bin_boundaries": self._boundaries}
        del config["trainable"]  # Keras's constructor takes none
        return config

    @classmethod
    def from_config(cls, config):
        boundaries = config.get("bin_boundaries")
        if boundaries is None or config.get("num_bins") is None:
            return super().from_config(config)
        layer = super().from_config(config | {"bin_boundaries": None})  # one that was adapted
        object.__setattr__(layer, "_boundaries", [float(b) for b in boundaries])
        return layer

    def compute_output_spec(self, x):
        bins = self.num_bins if self._boundaries is None else len(self._boundaries) + 1
        if self.output_mode == "int":
            return Spec(x.shape, "int32")
        return Spec(encoded_shape(x.shape, bins, self.output_mode), self.dtype.compute_dtype)

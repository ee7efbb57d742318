"""Attention as layers: of vectors (`Attention`, `AdditiveAttention`) and of heads between trained projections.

The formulas are in `fkeras.layers.kernels.attention`; here are the settings, the arguments of a call, and the masks.
"""

import math
from typing import Any, ClassVar

import jax.numpy as jnp

from fkeras.core.settings import choice, fraction, nearest, optional, positive_int, seed_or_none, setting, some
from fkeras.layers.contract import custom
from fkeras.layers.contract.base import Layer, Weight, layers
from fkeras.layers.contract.context import Context
from fkeras.layers.contract.shapes import Spec, is_shape
from fkeras.layers.contract.weight_settings import KernelBias
from fkeras.layers.core import EinsumDense, dense
from fkeras.layers.kernels.attention import (
    additive_scores,
    attend,
    causal_mask,
    concat_scores,
    dot_product_attention,
    dot_scores,
    mask_scores,
    window_mask,
)
from fkeras.layers.kernels.noise import draw_kept, dropout

# ------------------------------------------------------------------------------------ calls and masks


def _read(x, names):
    """Returns {name: value} of a packed call, of a list of inputs, or of None: missing names are None."""
    args, kwargs = custom.unpack(x) if custom.is_packed(x) else (list(x or ()), {})
    return dict.fromkeys(names) | dict(zip(names, args, strict=False)) | kwargs


def _given(kwargs):
    return {k: v for k, v in kwargs.items() if v is not None and v is not False}


def _checked(label, names, kwargs):
    for name in kwargs:
        if name not in names:
            raise TypeError(
                f"{label} has no call argument {name!r}.{nearest(name, names)} They are: {some(name, names)}."
            )


def _both(a, b):
    return b if a is None else a if b is None else a & b


def _draw_kept(ctx, shape, rate, seed):
    return ctx.draw(lambda key, inner: draw_kept(key, inner, rate), shape, seed)


def _as_bool(mask):
    return None if mask is None else jnp.asarray(mask).astype(bool)


# -------------------------------------------------------------------------------- attention of vectors


@layers.register
class Attention(Layer):
    """Dot-product attention: output = softmax(query @ key^T) @ value.

    Args:
        use_scale: Multiplies the scores by a trained number.
        score_mode: "dot", or "concat" for `concat_scores` with a trained weight.
        dropout: Fraction of the weights dropped while training.
        seed: Folded into the key of the dropout.

    Call arguments: `layer([query, value])` or `layer([query, value, key])`; without a key the value is it.
        mask: [query mask [B, T] or None, value mask [B, S] or None]. Masked values do not count, masked queries put
            out 0. Within a model the inputs' own masks, where none is given.
        return_attention_scores: The output is a pair with the weights [B, T, S], after dropout.
        use_causal_mask: Query i looks at values 0 to i only.

    Input shape: [B, T, D], [B, S, V] and [B, S, D]. Output shape: [B, T, V].

    Example:
        >>> Attention()([jnp.ones((2, 3, 4)), jnp.ones((2, 5, 4))], use_causal_mask=True).shape
        (2, 3, 4)

    Reference:
        As Keras 3; scores and softmax are float32 whatever the dtype.
    """

    use_scale: bool = False
    score_mode: str = setting(choice("dot", "concat"), "dot")
    dropout: float = setting(fraction, 0.0)
    seed: Any = setting(seed_or_none, None)
    supports_masking = True
    call_order = ("mask", "training")
    _names = ("inputs", "mask", "return_attention_scores", "use_causal_mask")

    def __call__(
        self, inputs, mask=None, training=None, return_attention_scores=False, use_causal_mask=False, **kwargs
    ):
        """Calls the layer on a list of arrays (computes) or of symbols (adds it to a graph)."""
        packed = self.pack(
            inputs,
            mask=mask,
            return_attention_scores=return_attention_scores,
            use_causal_mask=use_causal_mask,
            **kwargs,
        )
        return super().__call__(packed, training=training)

    def pack(self, x, **kwargs):
        if custom.is_packed(x):
            return x
        _checked(self.label, self._names[1:], kwargs)
        mask = kwargs.get("mask")
        if mask is not None and (not isinstance(mask, (list, tuple)) or len(mask) not in (2, 3)):
            raise ValueError(f"{self.label}: expected mask as a list [query mask, value mask], got {_shown(mask)}.")
        return custom.pack(list(x) if isinstance(x, tuple) else x, [], _given(kwargs))

    def _read(self, x):
        return _read(x if custom.is_packed(x) else {"args": [x], "kwargs": {}}, self._names)

    def check_input(self, shape):
        shapes = self._read(shape)["inputs"]
        if is_shape(shapes) or not isinstance(shapes, (list, tuple)) or len(shapes) not in (2, 3):
            raise ValueError(
                f"{self.label}: expected a list [query, value] or [query, value, key], got an input of shape {shapes}."
            )
        query, value, key = shapes[0], shapes[1], shapes[-1] if len(shapes) == 3 else shapes[1]
        unlike = {len(query), len(value), len(key)} != {len(query)} or len(query) < 2
        if unlike or not _same(query[-1], key[-1]) or not _same(value[-2], key[-2]):
            raise ValueError(
                f"{self.label}: expected query [B, T, D], value [B, S, V] and key [B, S, D] (without one, the value "
                f"is it), got query {query}, value {value}, key {key}."
            )

    def declare(self, shape):
        scale = {"scale": Weight((), "ones")} if self.use_scale else {}
        return scale | ({"concat_score_weight": Weight((), "ones")} if self.score_mode == "concat" else {})

    def scores(self, params, query, key):
        """Returns the scores [..., T, S] in float32, before masks and softmax."""
        if self.score_mode == "dot":
            return dot_scores(query, key, params.get("scale"))
        return concat_scores(query, key, params["concat_score_weight"], params.get("scale"))

    def forward(self, params, state, x, ctx):
        call = self._read(x)
        query, value, *rest = call["inputs"]
        scores = self.scores(params, query, rest[0] if rest else value)
        query_mask, value_mask = self._masks(call, ctx.mask)[:2]
        allowed = None if value_mask is None else value_mask[..., None, :]
        if call["use_causal_mask"]:
            allowed = _both(
                allowed, causal_mask(*scores.shape[-2:]).reshape((1,) * (scores.ndim - 2) + scores.shape[-2:])
            )
        kept = None
        if ctx.training and self.dropout:
            kept = _draw_kept(ctx, scores.shape, self.dropout, self.seed)
        out, weights = attend(mask_scores(scores, allowed), value, kept, self.dropout)
        if query_mask is not None:
            out = jnp.where(query_mask[..., None], out, jnp.zeros((), out.dtype))
        if not call["return_attention_scores"]:
            return out, state
        weights = weights if kept is None else dropout(weights, kept, self.dropout)
        return (out, weights.astype(value.dtype)), state

    def _masks(self, call, surrounding):
        found = call["mask"]
        if found is None:
            found = self._read(surrounding)["inputs"] if surrounding is not None else None
        found = list(found) if isinstance(found, (list, tuple)) else []
        return [_as_bool(m) for m in [*found, None, None]]

    def compute_mask(self, inputs, mask=None):
        call = self._read(inputs)
        query_mask = self._masks(call, mask)[0]
        return [query_mask, None] if call["return_attention_scores"] else query_mask

    def compute_output_spec(self, x):
        call = self._read(x)
        query, value = (tuple(a.shape) for a in call["inputs"][:2])
        dtype = self.dtype.compute_dtype
        out = Spec((*query[:-1], value[-1]), dtype)
        return (out, Spec((*query[:-1], value[-2]), dtype)) if call["return_attention_scores"] else out


@layers.register
class AdditiveAttention(Attention):
    """Additive attention: output = softmax(sum(scale * tanh(query + key))) @ value.

    Args:
        use_scale: Weighs the features by a trained vector [D].
        dropout, seed: As in `Attention`.

    Call arguments and shapes: as `Attention`.

    Example:
        >>> AdditiveAttention()([jnp.ones((2, 3, 4)), jnp.ones((2, 5, 4))]).shape
        (2, 3, 4)

    Reference:
        As Keras 3; see `additive_scores`.
    """

    use_scale: bool = True
    dropout: float = setting(fraction, 0.0)
    seed: Any = setting(seed_or_none, None)
    score_mode: str = setting(choice("dot"), "dot", keyword=True, saved=False)

    def declare(self, shape):
        return {"scale": Weight((self._read(shape)["inputs"][0][-1],))} if self.use_scale else {}

    def scores(self, params, query, key):
        return additive_scores(query, key, params.get("scale"))


def _same(a, b):
    return a is None or b is None or a == b


def _shown(value):
    return f"shape {tuple(value.shape)}" if hasattr(value, "shape") else repr(value)


# ---------------------------------------------------------------------------------- attention of heads


class _Projection(EinsumDense):
    """`EinsumDense` over an input's last axes, as one matrix product."""

    def forward(self, params, state, x, ctx):
        kernel, bias = params["kernel"], params.get("bias")
        summed = len(self.equation.split(",")[0]) - 3  # letters after "..."
        x = x.reshape(*x.shape[: x.ndim - summed], -1)
        flat = kernel.reshape(x.shape[-1], -1)
        y = dense(x, flat, None if bias is None else bias.reshape(-1))
        return self.activation(y.reshape(*y.shape[:-1], *kernel.shape[summed:])), state


class _HeadAttention(Layer):
    """What attention of heads with trained projections shares."""

    supports_masking = True
    training_flows = True
    call_order = ()
    _names = (
        "query", "value", "key", "query_mask", "value_mask", "key_mask", "attention_mask", "return_attention_scores",
        "use_causal_mask",
    )  # fmt: skip

    def __call__(
        self, query, value, key=None, query_mask=None, value_mask=None, key_mask=None, attention_mask=None,
        return_attention_scores=False, training=None, use_causal_mask=False, **kwargs,
    ):  # fmt: skip
        """Calls the layer on arrays (computes, building at first) or on symbols (adds it to a graph)."""
        packed = self.pack(
            query, value, key, query_mask=query_mask, value_mask=value_mask, key_mask=key_mask,
            attention_mask=attention_mask, return_attention_scores=return_attention_scores,
            use_causal_mask=use_causal_mask, **kwargs,
        )  # fmt: skip
        return super().__call__(packed, training=training)

    def pack(self, x, value=None, key=None, **kwargs):
        if custom.is_packed(x):
            return x
        if not custom.runs_call(self):  # a `call` of a subclass may take more
            _checked(self.label, self._names[3:], kwargs)
        return custom.pack(x, [value] if key is None else [value, key], _given(kwargs))

    def build(self, query_shape, value_shape=None, key_shape=None):
        """Declares the layer's arrays for these shapes, batch axis first; they are drawn when first needed."""
        if query_shape is None:
            return super().build(None)
        given = [query_shape] if is_shape(query_shape) else query_shape
        given = given if value_shape is None else [s for s in (query_shape, value_shape, key_shape) if s is not None]
        super().build(given if custom.is_packed(given) else {"args": list(given), "kwargs": {}})

    def check(self):
        if self.flash_attention and self.dropout:
            raise ValueError(f"{self.label}: flash_attention has no dropout, got dropout={self.dropout}. Set one to 0.")

    def check_input(self, shape):
        call = _read(shape, self._names) if not is_shape(shape) else {"query": shape, "value": None, "key": None}
        query, value = call["query"], call["value"]
        key = value if call["key"] is None else call["key"]
        if value is None:
            raise ValueError(
                f"{self.label}: expected query and value, got one input of shape {query}. Try layer(x, x)."
            )
        fits = len(query) == len(value) == len(key) >= 3 and all(map(_same, value[:-1], key[:-1]))
        if not fits or None in (query[-1], value[-1], key[-1]):
            raise ValueError(
                f"{self.label}: expected query [B, T, C], value [B, S, D] and key [B, S, E], with known features, got "
                f"query {query}, value {value}, key {key}."
            )
        axes = self._axes(len(query))
        for axis in range(len(query) - 1):
            if axis not in axes and not _same(query[axis], value[axis]):
                raise ValueError(
                    f"{self.label}: query and value differ on axis {axis}, which is not attended over (attention axes "
                    f"are {axes}): query {query}, value {value}."
                )
        if len(axes) > 1 and (call.get("use_causal_mask") or self.sliding_window):
            what = "use_causal_mask" if call.get("use_causal_mask") else "sliding_window"
            raise ValueError(f"{self.label}: {what} needs an order, so one attention axis, got {axes}.")
        if self.flash_attention and call.get("return_attention_scores"):
            raise ValueError(f"{self.label}: flash_attention never writes the scores down; return_attention_scores "
                             f"needs flash_attention=False.")  # fmt: skip

    # ------------------------------------------------------------------------------- inner projections

    def _axes(self, rank):
        return (1,)

    def _sizes(self, features):
        """Returns {name: (axes summed, sizes put out)} of the projections, for queries of so many features."""
        raise TypeError(f"{type(self).__name__} has no `_sizes(features)`.")

    def _projections(self, features):
        """Returns {name: projection}; the layer's own ones if they fit so many features."""
        known = self.__dict__.get("_made")
        if known is not None and known[0] == features:
            return known[1]
        about = {
            name: getattr(self, name)
            for name in (
                "kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer", "kernel_constraint",
                "bias_constraint", "activity_regularizer", "trainable", "dtype",
            )
        }  # fmt: skip
        made = {}
        for name, (summed, out) in self._sizes(features).items():
            into, outof = "ab"[:summed], "cdefghijklmnop"[: len(out)]
            made[name] = _Projection(
                f"...{into},{into}{outof}->...{outof}", out, activation="sigmoid" if name == "gate" else None,
                bias_axes=outof if self.use_bias else None, name=name, **about,
            )  # fmt: skip
        if self._cell is None:
            object.__setattr__(self, "_made", (features, made))
        return made

    def children(self):
        return dict(self.__dict__["_made"][1]) if "_made" in self.__dict__ else {}

    # The projections by Keras's names, once their input's shape is known.
    query_dense = property(lambda self: self._projection("query"))
    key_dense = property(lambda self: self._projection("key"))
    value_dense = property(lambda self: self._projection("value"))
    output_dense = property(lambda self: self._projection("attention_output"))
    _query_dense, _key_dense, _value_dense, _output_dense = query_dense, key_dense, value_dense, output_dense

    def _projection(self, name):
        if (found := self.children().get(name)) is None:
            raise AttributeError(f"{self.label} has no projections yet: they are made when it first sees a shape.")
        return found

    def declare(self, shape):
        call = _read(shape, self._names)
        query, value = call["query"], call["value"]
        key = value if call["key"] is None else call["key"]
        inner = self._projections(query[-1])
        heads = (*query[:-1], inner["query"].output_shape[0], inner["value"].output_shape[1])
        shapes = {"query": query, "key": key, "gate": query, "value": value, "attention_output": heads}
        return {name: inner[name].declare(shapes[name]) for name in inner}

    def _penalize(self, y, ctx):
        """The activity regularizer is the projections', as in Keras."""

    # -------------------------------------------------------------------------------------- computation

    def _compute_attention(self, query, key, value, attention_mask=None, training=None, return_attention_scores=False):
        """Keras's inner word for a `call` of a subclass: (output, weights or None) of projected arrays [B, T, N, H]."""
        frame = custom.running()
        ctx = Context() if frame is None else frame.ctx
        ctx = ctx.at(mask=None) if training is None else ctx.at(mask=None, training=bool(training))
        call = dict.fromkeys(self._names) | {"attention_mask": attention_mask}
        return self._attend(query, key, value, call | {"return_attention_scores": return_attention_scores}, ctx)

    def forward(self, params, state, x, ctx):
        call = _read(x, self._names)
        inner = self._projections(call["query"].shape[-1])

        def project(name, x):
            return inner[name].apply(params[name], {}, x, ctx.at(name, mask=None))[0]

        value = call["value"]
        query = project("query", call["query"])
        key = project("key", value if call["key"] is None else call["key"])
        out, weights = self._attend(query, key, project("value", value), call, ctx)
        if "gate" in inner:
            out = out * project("gate", call["query"])
        out = project("attention_output", out)
        return ((out, weights) if call["return_attention_scores"] else out), state

    def _attend(self, query, key, value, call, ctx):
        """Folds axes that are not attended over into the batch, those that are into one, and back."""
        axes = self._axes(query.ndim - 1)
        order = [a for a in range(query.ndim - 2) if a not in axes] + list(axes)
        batch, times = len(order) - len(axes), [query.shape[a] for a in axes]
        lead, sources = [query.shape[a] for a in order[:batch]], [key.shape[a] for a in axes]
        query, key, value = (_fold(a, order, batch) for a in (query, key, value))
        (B, T, N, _), S = query.shape, key.shape[1]
        mask = self._mask(call, ctx.mask, order, lead, times, sources)
        if self.sliding_window:
            mask = _both(mask, window_mask(T, S, self.sliding_window)[None, None])
        kept = None
        if ctx.training and self.dropout:
            shape = (lead[0], B // lead[0] * N, T, S)  # the rows of the batch first: they draw their own numbers
            kept = _draw_kept(ctx, shape, self.dropout, self.seed).reshape(B, N, T, S)
        out, weights = dot_product_attention(
            query, key, value, mask, is_causal=bool(call["use_causal_mask"]), kept=kept, rate=self.dropout,
            with_weights=bool(call["return_attention_scores"]), fused=self.flash_attention,
        )  # fmt: skip
        back = [order.index(a) for a in range(len(order))]
        out = out.reshape(*lead, *times, *out.shape[2:])
        out = out.transpose(*back, len(order), len(order) + 1)
        if weights is not None:
            weights = weights.astype(value.dtype).reshape(*lead, N, *times, *sources)
        return out, weights

    def _mask(self, call, surrounding, order, lead, times, sources):
        """Joins the masks of a call into one bool array that broadcasts to [B, N, T, S], or None."""
        masks = _read(surrounding, self._names)
        query, value, key = (
            _as_bool(call[f"{name}_mask"] if call[f"{name}_mask"] is not None else masks[name])
            for name in ("query", "value", "key")
        )
        ones, n = (1,) * len(times), len(lead)
        joined = None
        if query is not None:
            query = _spread(query, order)
            joined = query.reshape(*query.shape[:n], 1, *query.shape[n:], *ones)
        for source in (value, key):
            if source is not None:
                source = _spread(source, order)
                joined = _both(joined, source.reshape(*source.shape[:n], 1, *ones, *source.shape[n:]))
        given = _as_bool(call["attention_mask"])
        if given is not None:
            rank = n + 1 + 2 * len(times)
            if not 2 * len(times) <= given.ndim <= rank:
                raise ValueError(
                    f"{self.label}: expected attention_mask like [B, T, S], rank {2 * len(times)} to {rank}, got shape "
                    f"{given.shape}."
                )
            split = given.ndim - 2 * len(times)
            ones = (1,) * (rank - given.ndim)
            joined = _both(joined, given.reshape(*given.shape[:split], *ones, *given.shape[split:]))
        if joined is None or (n == 1 and len(times) == 1):
            return joined
        joined = jnp.broadcast_to(joined, (*lead, joined.shape[n], *times, *sources))
        return joined.reshape(math.prod(lead), -1, math.prod(times), math.prod(sources))

    def compute_mask(self, inputs, mask=None):
        call = _read(inputs, self._names)
        found = call["query_mask"] if call["query_mask"] is not None else _read(mask, self._names)["query"]
        return [_as_bool(found), None] if call["return_attention_scores"] else _as_bool(found)

    def compute_output_spec(self, x):
        call = _read(x, self._names)
        query, value, dtype = tuple(call["query"].shape), tuple(call["value"].shape), self.dtype.compute_dtype
        inner = self._projections(query[-1])
        out = Spec((*query[:-1], *inner["attention_output"].output_shape), dtype)
        if not call["return_attention_scores"]:
            return out
        axes = self._axes(len(query))
        lead = [d for a, d in enumerate(query[:-1]) if a not in axes]
        heads = inner["query"].output_shape[0]
        return out, Spec((*lead, heads, *(query[a] for a in axes), *(value[a] for a in axes)), dtype)


def _fold(x, order, batch):
    """[B, ..., N, H] -> [batch axes as one, attended axes as one, N, H]."""
    x = x.transpose(*order, x.ndim - 2, x.ndim - 1)
    return x.reshape(math.prod(x.shape[:batch]), -1, *x.shape[-2:])


def _spread(mask, order):
    """Brings a mask over an input's first axes into `order`, with axes of size 1 for those it does not have."""
    return mask.reshape(mask.shape + (1,) * (len(order) - mask.ndim)).transpose(order)


def _output_shape(value):
    if isinstance(value, float):
        raise ValueError(f"expected an int or a tuple of ints, got {value!r}.")
    if value is None or (isinstance(value, (tuple, list)) and not value):
        return None
    return tuple(positive_int(v) for v in (value if isinstance(value, (tuple, list)) else (value,)))


def _attention_axes(value):
    if value is None or (isinstance(value, (tuple, list)) and all(isinstance(v, int) for v in value) and value):
        return None if value is None else tuple(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"expected an int, a tuple of ints or None for all axes, got {value!r}.")
    return (value,)


@layers.register
class MultiHeadAttention(KernelBias, _HeadAttention):
    """Attention of several heads, between trained projections.

        output = concat_n(softmax(q_n @ k_n^T / sqrt(key_dim)) @ v_n) @ kernel, with q_n = query @ kernel_n, ...

    Args:
        num_heads: Number of heads N.
        key_dim: Features of a head of queries and keys.
        value_dim: Features of a head of values; None is `key_dim`.
        dropout: Fraction of the weights dropped while training.
        use_bias: The projections have biases.
        output_shape: Features put out, an int or a tuple; None is those of the query.
        attention_axes: Axes of the input attended over; None is all between batch and features.
        sliding_window: Query i looks only at keys fewer than this many steps away; None is all.
        flash_attention: True demands the device's fused kernel, False forbids it, None takes it where it can.
        kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, activity_regularizer,
        kernel_constraint, bias_constraint: Of every projection.
        use_gate: Multiplies the heads by a sigmoid projection of the query.
        seed: Folded into the key of the dropout.

    Call arguments: `layer(query, value)`, `layer(query, value, key)`; without a key the value is it.
        query_mask, value_mask, key_mask: Bool [B, T] and [B, S]; within a model the inputs' own where none is given.
        attention_mask: Bool [B, T, S] or [T, S], or with heads [B, N, T, S]: which query may look at which key.
        return_attention_scores: The output is a pair with the weights [B, N, T, S], before dropout.
        use_causal_mask: Query i looks at keys 0 to i only.

    Input shape: [B, T, C], [B, S, D] and [B, S, E]; with more axes between, those that are not attended over must
    agree. Output shape: [B, T, C], or `output_shape` in place of C.

    Example:
        >>> x = jnp.ones((2, 3, 8))
        >>> MultiHeadAttention(num_heads=2, key_dim=4)(x, x, use_causal_mask=True).shape
        (2, 3, 8)

    Reference:
        Vaswani et al., "Attention Is All You Need", 2017, arXiv:1706.03762, section 3.2.2; as Keras 3.
    """

    num_heads: int = setting(positive_int)
    key_dim: int = setting(positive_int)
    value_dim: Any = setting(optional(positive_int), None)
    dropout: float = setting(fraction, 0.0)
    use_bias: bool = True
    output_shape: Any = setting(_output_shape, None)
    attention_axes: Any = setting(_attention_axes, None)
    sliding_window: Any = setting(optional(positive_int), None)
    flash_attention: Any = setting(optional(bool), None, saved=False)
    _here: ClassVar[KernelBias]
    use_gate: bool = False
    seed: Any = setting(seed_or_none, None)

    def check(self):
        super().check()
        if self.value_dim is None:
            self.value_dim = self.key_dim

    def _axes(self, rank):
        if self.attention_axes is None:
            return tuple(range(1, rank - 1))
        axes = tuple(a + rank if a < 0 else a for a in self.attention_axes)
        if len(set(axes)) < len(axes) or not all(0 < a < rank - 1 for a in axes):
            raise ValueError(
                f"{self.label}: attention_axes {self.attention_axes} are not axes between batch and features of an "
                f"input of rank {rank}."
            )
        return axes

    def _sizes(self, features):
        keys, values = (self.num_heads, self.key_dim), (self.num_heads, self.value_dim)
        gate = {"gate": (1, values)} if self.use_gate else {}
        out = (2, self.output_shape or (features,))
        return {"query": (1, keys), "key": (1, keys), **gate, "value": (1, values), "attention_output": out}


@layers.register("GroupedQueryAttention")
class GroupQueryAttention(KernelBias, _HeadAttention):
    """Multi-head attention whose heads of keys and values are each shared by several heads of queries.

    Args:
        head_dim: Features of a head.
        num_query_heads: Number of heads of queries; a multiple of
        num_key_value_heads: Number of heads of keys and values.
        dropout, use_bias, sliding_window, flash_attention, the initializers, regularizers and constraints, use_gate,
        seed: As in `MultiHeadAttention`.

    Call arguments: as `MultiHeadAttention`.

    Input shape: [B, T, C], [B, S, D] and [B, S, E]. Output shape: [B, T, C].

    Example:
        >>> x = jnp.ones((2, 3, 8))
        >>> GroupQueryAttention(head_dim=4, num_query_heads=4, num_key_value_heads=2)(x, x).shape
        (2, 3, 8)

    Reference:
        Ainslie et al., "GQA: Training Generalized Multi-Query Transformer Models", 2023, arXiv:2305.13245; as Keras 3.
    """

    head_dim: int = setting(positive_int)
    num_query_heads: int = setting(positive_int)
    num_key_value_heads: int = setting(positive_int)
    dropout: float = setting(fraction, 0.0)
    use_bias: bool = True
    sliding_window: Any = setting(optional(positive_int), None)
    flash_attention: Any = setting(optional(bool), None, saved=False)
    _here: ClassVar[KernelBias]
    use_gate: bool = False
    seed: Any = setting(seed_or_none, None)
    named_after = "GroupedQueryAttention"

    def check(self):
        super().check()
        if self.num_query_heads % self.num_key_value_heads:
            raise ValueError(
                f"{self.label}: num_query_heads must be a multiple of num_key_value_heads, got {self.num_query_heads} "
                f"and {self.num_key_value_heads}."
            )

    def check_input(self, shape):
        super().check_input(shape)
        query = _read(shape, self._names)["query"]
        if len(query) != 3:
            raise ValueError(f"{self.label}: expected inputs of rank 3, [B, T, C], got query {query}.")

    def _sizes(self, features):
        queries, keys = (self.num_query_heads, self.head_dim), (self.num_key_value_heads, self.head_dim)
        gate = {"gate": (1, queries)} if self.use_gate else {}
        return {
            "query": (1, queries),
            "key": (1, keys),
            **gate,
            "value": (1, keys),
            "attention_output": (2, (features,)),
        }

"""The contract of a layer, and everything that follows from it, once.

A layer is settings, a declaration and a pure function:

    class Scale(Layer):
        initializer: Fn = setting(initializers, "ones")

        def declare(self, shape):
            return {"scale": Weight(shape[-1:], self.initializer)}

        def forward(self, params, state, x, ctx):
            return x * params["scale"], state

From these, `Layer` derives the pure pair `init(key, shape) -> (params, state)` and
`apply(params, state, x, ctx) -> (y, state)`, and the stateful face that Keras's users know: calling on arrays,
building at first call, `weights`, `get_weights`, `count_params`. The arrays of a layer live in one cell of its own;
models gather the cells into trees before a step and scatter them after it.
"""

import contextlib
import copy
import dataclasses
import functools
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from fkeras import constraints, initializers, regularizers
from fkeras.core import dtypes, rng, tree, variable
from fkeras.core.settings import Configured, Registry, flag, is_foreign, optional, setting, snake_case
from fkeras.core.symbol import Node, is_symbolic
from fkeras.core.tracing import untraceable, watcher
from fkeras.layers.contract import arguments, custom, extended, input_spec, remat, stateless
from fkeras.layers.contract.arguments import NOTHING
from fkeras.layers.contract.context import Context, Probed
from fkeras.layers.contract.masks import drawn, mask_of, remember_mask
from fkeras.layers.contract.portable import portable
from fkeras.layers.contract.shapes import (
    PROBES,
    SMALL_PROBES,
    Spec,
    as_shape,
    at_some_batch,
    filled,
    has_free_sizes,
    is_shape,
    is_spec,
    shapes_of,
    shown,
)
from fkeras.layers.contract.variables import Cell, Variable, Weight, declarations, declare_weight, hold, lock, revision

layers = Registry("layer", "keras.layers")

# Weights that may be left out, and the settings that say so: they are None, as in Keras.
_OPTIONS = {"bias": ("use_bias", "bias_axes"), "gamma": ("scale",), "beta": ("center",)}

# Inner names of Keras that packages which draw or walk models read.
_KERAS_INSIDE = {
    "_inbound_nodes": lambda layer: list(layer._nodes),
    "_layers": lambda layer: list(getattr(layer, "operations", layer.children().values())),
    "_flatten_layers": lambda layer: functools.partial(_flattened, layer),
}

# Attributes of ours that may hold layers which are no part of the layer, or hold them another way.
_NO_CHILDREN = {"_call", "_nodes", "_real", "_recorder", "_chain", "_input", "_compiled", "_compile_arguments"}


class Layer(Configured, kw_only=True):
    """Base of all layers; see the module's docstring for the two methods a layer writes.

    Args:
        name: Unique name in a model; by default the class's in snake case, counted.
        trainable: False freezes the layer's weights. May be changed at any time.
        dtype: Dtype policy: "float32", "mixed_bfloat16", ...
        activity_regularizer: Penalty on the output, divided by the rows of the batch.
    """

    name: str | None = setting(default=None, keyword=True)
    trainable: bool = setting(flag, default=True, keyword=True)
    dtype: Any = setting(dtypes.policy, default=None, keyword=True, saved=False)
    activity_regularizer: Any = setting(optional(regularizers), default=None, keyword=True)
    batch_shape: Any = setting(optional(as_shape), default=None, keyword=True, saved=False)

    rank = None  # of the input, where a layer takes only one: (rank, "[B, H, W, C]")
    takes_ints = False  # integer inputs reach `forward` as they are instead of in the compute dtype
    casts = True  # False for containers, whose inner layers each follow their own policy
    supports_masking = False  # an input's mask is the output's too
    rows_meet = None  # None: `forward` is traced to find out. True: they do, but for those `ctx.rows` leaves out
    is_operation = False  # an operator between layers: `model.layers` leaves it out
    computes_in_call = records_build = False  # written the Keras way (contract/extended.py)
    packed_mask = ints_above = None
    on_host = False  # it can compute with NumPy, by `host(x)`, and does where it meets text (contract/host.py)
    call_order = ("training", "mask")  # what stands after the input in Keras's `call` of the layer, by position
    training_flows = False  # `super().call(x)` without `training` trains where what runs around it trains
    named_after = None  # the name of Keras's class, where that is another
    _cell = None
    _changes = 0  # how often a setting was changed since
    _remat = None  # the `RematScope` that the layer was made in
    _nodes = ()
    _counts: ClassVar[dict[str, int]] = {}

    def __new__(cls, *args, **kwargs):
        self = super().__new__(cls, *args, **kwargs)
        if (scope := remat.current()) is not None:
            object.__setattr__(self, "_remat", scope)
        return self

    # ------------------------------------------------------------------------------ what a layer writes

    def declare(self, shape):
        """Returns {name: Weight} for inputs of `shape` (batch axis first; a tree of shapes for several inputs)."""
        return custom.declare(self, shape) if custom.declares_in_build(self) else {}

    def forward(self, params, state, x, ctx):
        """Computes (y, state) from arrays alone. Pure."""
        if custom.runs_call(self):
            return custom.forward(self, params, state, x, ctx)
        raise TypeError(f"{type(self).__name__} has neither `forward(params, state, x, ctx)` nor `call(x)`.")

    def windows(self, rank):
        """Returns which `Window` of an input of `rank` each output reads, one for each axis after the batch.

        None in place of a window stands for the whole axis. None at all: the layer does not compute by windows, or
        its output depends on where the input ends.
        """
        return None

    def compute_mask(self, inputs, previous_mask=None):
        """Returns the mask of the output: that of the input, if the layer supports masking."""
        return previous_mask if self.supports_masking else None

    def children(self):
        """Returns {key in the parameter tree: layer} of the layers inside this one."""
        found, seen = {}, set()

        def look(name, value):
            if isinstance(value, Layer):
                if id(value) not in seen:  # under its first name
                    seen.add(id(value))
                    found[name] = value
            elif isinstance(value, (list, tuple, dict)) and id(value) not in seen:
                seen.add(id(value))
                for k, v in value.items() if isinstance(value, dict) else enumerate(value):
                    look(f"{name}_{k}", v)

        for name, value in self.__dict__.items():
            if name not in _NO_CHILDREN:
                look(name, value)
        return found

    def check_input(self, shape):
        """Raises ValueError, naming the layer, for an input shape that cannot fit."""
        if self.rank is not None and len(shape) != self.rank[0]:
            raise ValueError(
                f"{self.label}: expected an input of rank {self.rank[0]}, {self.rank[1]}, got shape {shape}."
                + self._rank_hint(shape)
            )

    def _check_spec(self, shape):
        if (specs := self.__dict__.get("input_spec")) is not None:
            input_spec.check(self, specs, [s for s in jax.tree.leaves(shape, is_leaf=is_shape) if is_shape(s)])

    def _rank_hint(self, shape):
        if len(shape) == self.rank[0] - 1:
            return " Is the channel axis missing? Try Reshape((*shape, 1)) or x[..., None]."
        return ""

    # ------------------------------------------------------------------------------------ the pure pair

    @property
    def label(self):
        """How messages name this layer: "Dense 'logits'"."""
        return f"{type(self).__name__} {self.name!r}"

    def init(self, key, shape):
        """Draws the arrays for inputs of `shape` (batch axis first).

        Returns:
            (params, state): nested dicts of arrays; `params` are trained, `state` holds running values.

        Example:
            >>> params, state = Dense(3).init(jax.random.key(0), (32, 4))
            >>> jax.tree.map(jnp.shape, params)
            {'bias': (3,), 'kernel': (4, 3)}
        """
        declared = tree.flatten(self.declare(as_shape(shape)))
        if self._cell is not None:  # a layer that is reached by several paths has its arrays under the first
            known = self.declarations()
            declared = {p: w for p, w in declared.items() if p in known}
        drawn = {p: self._draw(w, rng.fold(rng.as_key(key), "/".join(p))) for p, w in declared.items()}
        return (
            tree.unflatten({p: a for p, a in drawn.items() if declared[p].trainable}),
            tree.unflatten({p: a for p, a in drawn.items() if not declared[p].trainable}),
        )

    def apply(self, params, state, x, ctx=None, *, training=False, key=None, mask=None, rows=None):
        """Computes (y, state) from arrays alone, cast to the layer's dtype policy. Pure: jit, grad, vmap, pmap it.

        Args:
            params, state: As `init` returns them.
            x: Array, or the tree of arrays that the layer takes.
            ctx: The surrounding `Context`; or give its parts by name:
            training, key, mask, rows: See `Context`.

        Example:
            >>> layer = Dropout(0.5)
            >>> y, _ = layer.apply({}, {}, jnp.ones((2, 4)), training=True, key=jax.random.key(0))
        """
        if ctx is None:
            ctx = Context(training, None if key is None else rng.as_key(key), mask, rows)
        return self.apply_masked(params, state, x, ctx)[:2]

    def apply_masked(self, params, state, x, ctx):
        """Computes (y, state, mask of y): what a graph calls, and the one place where a layer's arrays are cast."""
        x = self.prepared(x)
        if ctx.shared is not None:
            state = ctx.shared.get(id(self), state)
        elif twice := self._reached_twice():
            return self._apply_shared(params, state, x, ctx, twice)
        given = x
        try:
            with jax.named_scope(self.name):
                compute = self.dtype.compute_dtype
                x = jax.tree.map(lambda a: self._cast_input(a, compute), x)
                if self.casts and self.dtype.variable_dtype != compute:
                    params = dtypes.cast_floats(params, compute)
                with rng.drawing(ctx.place(x)) if self.runs_user_code else contextlib.nullcontext():
                    y, state, mask = self.computed(params, state, x, ctx)
                if (watch := watcher()) is not None:
                    y = watch(self, params, given, y)
                if self.activity_regularizer is not None:
                    self._penalize(y, ctx)
        except Exception as err:
            shapes = ", ".join(f"{getattr(a, 'dtype', '?')}{list(jnp.shape(a))}" for a in jax.tree.leaves(x))
            if said := untraceable(err):
                err = TypeError(f"{self.label}: {said}").with_traceback(err.__traceback__)
            err.add_note(f"in layer {self.name!r} ({type(self).__name__}), called on {shapes}")
            raise err
        if ctx.shared is not None and id(self) in ctx.shared:
            ctx.shared[id(self)] = state
        return y, state, mask

    def _apply_shared(self, params, state, x, ctx, twice):
        """`apply_masked`, for a layer that reaches some of those inside it by several paths.

        Their arrays are one truth, under the first path in the trees given and returned. Inside, they stand under all
        paths, and what a call does to their state is what the next one finds.
        """
        inside, after = params, state
        for path, first, _ in twice:
            inside = tree.put(inside, path, tree.at(inside, first))
            after = tree.put(after, path, tree.at(after, first))
        shared = {id(layer): tree.at(state, first) for _, first, layer in twice}
        y, after, mask = self.apply_masked(inside, after, x, dataclasses.replace(ctx, shared=shared))
        for _, first, layer in twice:
            if shared[id(layer)]:
                after = tree.put(after, first, shared[id(layer)])
        return y, tree.like(after, state), mask

    def _reached_twice(self):
        """Returns [(path, first path, layer)] of the layers inside that are reached again by another path."""
        found, twice = {}, []

        def walk(layer, path):
            for key, child in layer._cell.inner.items():
                if child._cell is not None:
                    here = (*path, key)
                    if (first := found.setdefault(id(child), here)) is here:
                        walk(child, here)
                    else:
                        twice.append((here, first, child))

        if self._cell is not None and self._cell.inner:
            walk(self, ())
        return twice

    def computed(self, params, state, x, ctx):
        """Computes (y, state, mask of y), or stands for it while rows are followed and the layer's are not."""
        if ctx.probe and (self.rows_meet is False or (self.rows_meet and ctx.probe == "fill")):
            return self._each_row(params, state, x, ctx)
        if self._remat is not None and ctx.training and ctx.probe is None and ctx.shared is None:
            y, state, mask = remat.forward_masked(self, params, state, x, ctx)
        else:
            y, state, mask = self.forward_masked(params, state, x, ctx)
        if y is None:
            raise TypeError(f"{self.label}: it computed None; expected arrays. Does its `call` return?")
        return y, state, mask

    def forward_masked(self, params, state, x, ctx):
        """Computes (y, state, mask of y); a layer that makes masks of its own accord writes this one instead."""
        if custom.runs_call(self):
            return custom.forward_masked(self, params, state, x, ctx)
        y, state = self.forward(params, state, x, ctx)
        return y, state, self.compute_mask(x, ctx.mask)

    def _each_row(self, params, state, x, ctx):
        """Stands for a call whose rows are not followed: each row of (y, mask) is made of that row of `x` alone."""

        def call(params, state, x):
            return self.forward_masked(params, state, x, dataclasses.replace(ctx, probe=None, losses=None))

        row = sum(jnp.sum(a.astype("float32"), tuple(range(1, a.ndim))) for a in jax.tree.leaves(x))  # [B]
        y, _, mask = jax.eval_shape(call, params, state, x)
        y, mask = jax.tree.map(
            lambda s: jnp.broadcast_to(row.reshape(-1, *[1] * (len(s.shape) - 1)), s.shape).astype(s.dtype), (y, mask)
        )
        return y, state, mask

    @property
    def runs_user_code(self):
        """Whether this layer's class, or a function among its settings, is not of this package (or JAX's)."""
        values = (self.__dict__.get(name) for name in type(self)._fields)
        return is_foreign(type(self), *(value for value in values if not isinstance(value, Layer)))

    def _cast_input(self, a, compute):
        a = jnp.asarray(a)
        if not self.casts:
            return a
        is_float = jnp.issubdtype(a.dtype, jnp.floating)
        return a.astype(compute) if is_float or not (self.takes_ints or a.dtype == jnp.complex64) else a

    def _penalize(self, y, ctx):
        if ctx.probe and ctx.losses is not None:
            if is_foreign(self.activity_regularizer):
                ctx.losses.extend(Probed("penalty", self.activity_regularizer(out)) for out in jax.tree.leaves(y))
            return
        for out in jax.tree.leaves(y):
            real = ctx.row_mask(out.ndim)
            out = out.astype(jnp.float32) if real is None else jnp.where(real, out.astype(jnp.float32), 0.0)
            ctx.add_loss(self.activity_regularizer(out), ctx.count_rows(out.shape[0]))

    def _draw(self, weight, key):
        dtype = weight.dtype or self.dtype.variable_dtype
        return initializers.draw(initializers.get(weight.initializer), key, tuple(weight.shape), dtype)

    # ------------------------------------------------------------------------------------------- shapes

    def compute_output_spec(self, x):
        """Returns the outputs' `jax.ShapeDtypeStruct`s for symbols or specs `x`; unknown sizes are None."""
        return self._trace_specs(x, custom.expected_mask(self, shapes_of(x)))[0]

    def mask_specs(self, x, mask):
        """Returns the specs of the outputs' masks, for symbols or specs of inputs and of their masks."""
        cls = type(self)
        own = cls.compute_mask is not Layer.compute_mask or cls.forward_masked is not Layer.forward_masked
        if own or custom.is_keras_style(self):
            return self._trace_specs(x, mask)[1] if jax.tree.leaves(x) else None
        return self.compute_mask(x, mask)

    def _trace_specs(self, x, mask):
        """Returns (specs of the outputs, specs of their masks)."""
        x = self.prepared(x)
        shapes = shapes_of(x)
        sizes = [s for s in jax.tree.leaves(shapes, is_leaf=is_shape)]
        tries = (PROBES, SMALL_PROBES) if has_free_sizes(sizes) else (PROBES[:1],)
        batch_is_free = any(s and s[0] is None for s in sizes)
        declared = tree.flatten(self.declare(shapes))
        outs, batch = at_some_batch(
            lambda batch: self._first_that_runs(
                lambda probe: self._trace_output(x, mask, declared, probe, batch), tries
            ),
            batch_is_free and any(layer.runs_user_code for layer in self.own_and_inner()),
        )
        if outs is None:  # at no size that stands for an unknown one: the layer itself says what comes out
            told = self.compute_output_shape(jax.tree.map(tuple, shapes, is_leaf=is_shape))
            return jax.tree.map(lambda s: Spec(tuple(s), self.dtype.compute_dtype), told, is_leaf=is_shape), None

        def join(*specs):
            dims = [a[0] if len(set(a)) == 1 else None for a in zip(*(s.shape for s in specs), strict=True)]
            if dims and batch_is_free and dims[0] == batch:
                dims[0] = None
            return Spec(tuple(dims), specs[0].dtype)

        return jax.tree.map(join, *outs)

    def _first_that_runs(self, trace, tries):
        """Returns the traces at the first sizes for which there are any, or None if the layer tells its shapes."""
        failed = []
        for probes in tries:
            try:
                return [trace(probe) for probe in probes]
            except Exception as err:
                failed.append(err)
        if len(tries) > 1 and type(self).compute_output_shape is not Layer.compute_output_shape:
            return None
        raise failed[0]

    def _trace_output(self, x, mask, declared, probe, batch):
        def concrete(spec):
            return jax.ShapeDtypeStruct(filled(spec.shape, probe, batch), spec.dtype)

        inputs, masks = jax.tree.map(concrete, (x, mask), is_leaf=is_spec)
        params, state = ({}, {})
        for path, w in declared.items():
            leaf = jax.ShapeDtypeStruct(tuple(w.shape), w.dtype or self.dtype.variable_dtype)
            (params if w.trainable else state)[path] = leaf

        def run(params, state, x, mask):
            y, _, mask = self.apply_masked(
                params, state, x, Context(key=jax.random.key(0), mask=mask, path=(self.name,))
            )
            return y, mask

        return jax.eval_shape(run, tree.unflatten(params), tree.unflatten(state), inputs, masks)

    def compute_output_shape(self, *shapes, **named):
        """Returns the output's shape (a tree of them for several outputs) for input shapes with the batch axis first.

        Several arguments of a call have a shape each, in order or by name: `query_shape`, `value_shape`.
        """
        dtype = "int32" if self.takes_ints == "only" else self.dtype.compute_dtype

        def spec(shape):
            if shape is None:
                return None
            return jax.tree.map(lambda s: Spec(s, dtype), as_shape(shape), is_leaf=is_shape)

        first = shapes or (named.pop(next(iter(named), "input_shape"), None),)
        if first[0] is None:
            raise ValueError(f"{self.label}: compute_output_shape(...) needs a shape, batch axis first: (None, 4).")
        args = [spec(shape) for shape in first]
        more = {n.removesuffix("_shape"): spec(shape) for n, shape in named.items() if shape is not None}
        specs = self.pack(*args, **more) if len(args) > 1 or more else args[0]
        self.check_input(shapes_of(specs))
        return jax.tree.map(lambda s: s.shape, self.compute_output_spec(specs), is_leaf=is_spec)

    # ------------------------------------------------------------------------------------- the face

    @classmethod
    def default_name(cls, kind=None):
        base = snake_case(kind or cls.__dict__.get("named_after") or cls.__name__)
        n = Layer._counts.get(base, 0)
        Layer._counts[base] = n + 1
        return f"{base}_{n}" if n else base

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        extended.prepare(cls, Layer)

    def __setattr__(self, name, value):
        revision.changed()
        if name == "trainable":
            object.__setattr__(self, name, bool(value))
            for child in self.children().values():
                child.trainable = value
            return
        held = isinstance(value, Layer) and "_real" not in self.__dict__ and name not in _NO_CHILDREN
        if held and any(one is self for one in value.own_and_inner()):
            raise ValueError(
                f"{self.label}: cannot hold {value.label} as {name!r}, which holds it: a cycle. To only remember a "
                f"layer, hold a function: self.{name} = lambda: layer."
            )
        if self._sealed and name in type(self)._fields and name not in ("name", "dtype"):
            self._change(name, value)
        else:
            super().__setattr__(name, value)
        if isinstance(value, (variable.Variable, list, tuple, dict)):
            hold(self, value)

    def _change(self, name, value):
        """Sets a setting of a layer that is in use, if its arrays and the shapes of its outputs stay what they are."""
        before = getattr(self, name)
        object.__setattr__(self, name, type(self)._fields[name].resolve(type(self), value))
        object.__setattr__(self, "_sealed", False)
        try:
            self.check()
            shapes = self._cell.shapes if self._cell is not None else ()
            now = {path: tuple(w.shape) for path, w in self.declarations().items()} if shapes else {}
            same = all({p: tuple(w.shape) for p, w in tree.flatten(self.declare(s)).items()} == now for s in shapes)
            for node in self._nodes if same else ():
                specs = jax.tree.leaves(self.compute_output_spec(node.inputs), is_leaf=is_spec)
                same &= [s.shape for s in specs] == [s.shape for s in node.output_tensors]
            if not same:
                kind = type(self).__name__
                raise ValueError(
                    f"{self.label}: {name} = {value!r} would change its weights or the shape of its output, which are "
                    f"in use. Make a new one: {kind}.from_config({{**layer.get_config(), {name!r}: ...}})."
                )
        except BaseException:
            object.__setattr__(self, name, before)
            raise
        finally:
            object.__setattr__(self, "_sealed", True)
        object.__setattr__(self, "_changes", self._changes + 1)

    def __getattr__(self, name: str) -> Any:
        cell = self.__dict__.get("_cell")
        if cell is not None and name in cell.declared:
            return Variable(self, name)
        if name in (self.__dict__.get("_recorder") or ()):  # in a `build` after super().build(...)
            return Variable(self.__dict__.get("_real", self), name)
        if cell is not None and any(option in self._fields for option in _OPTIONS.get(name, ())):
            return None  # a weight that the settings leave out
        if name in _KERAS_INSIDE:
            return _KERAS_INSIDE[name](self)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}." + self._unbuilt_hint(name))

    def _unbuilt_hint(self, name):
        built = self.__dict__.get("_cell") is not None or name.startswith("_")
        return "" if built else " It has no weights yet: they are made when it first sees an input shape."

    def __call__(self, x: Any = NOTHING, *args: Any, training: Any = None, mask: Any = None, **kwargs: Any) -> Any:
        """Calls the layer on arrays (computes, building at first) or on symbols (adds it to a graph)."""
        if x is NOTHING:
            x, kwargs = arguments.first_by_name(self, kwargs)
        if not custom.runs_call(self):
            args, training, mask = arguments.by_position(self, args, training, mask)
        x = self.pack(arguments.as_arrays(self, x), *args, **kwargs)
        arguments.check_kinds(self, x)
        if (frame := custom.running()) is not None and id(self) in frame.keys:
            return custom.inner_call(frame, self, x, training, mask)
        if is_symbolic(x):
            return self._connect(x, None if training is None else bool(training), mask)
        mask = mask_of(x) if mask is None else mask
        x = self._arrays(x)
        shapes = shapes_of(x)
        with custom.expecting(self, shapes, mask):
            self._ensure(shapes)
        ctx = Context(bool(training), rng.next_key() if training else None, mask, losses=[], eager=True)
        with lock:  # no step of another thread may take the arrays' memory in between
            params, state = self.gather()
            y, state, mask = self.apply_masked(params, state, x, ctx)
            if not any(isinstance(a, jax.core.Tracer) for a in jax.tree.leaves(state)):  # else traced by a user's jit
                self.scatter(params, state)  # running values, in inference those of stateful layers
        custom.keep_losses(self, ctx.losses)
        return remember_mask(y, mask) if mask is not None else y

    def _arrays(self, x):
        return jax.tree.map(jnp.asarray, self.prepared(x))

    def prepared(self, x):
        """Returns the inputs as a program takes them: what reads text, a model or a layer, has read it by then."""
        return x

    def pack(self, x, *args, **kwargs):
        """Returns the one tree that `forward` takes, from the arguments of a call."""
        if custom.runs_call(self):
            return custom.pack(x, args, kwargs)
        if args or kwargs:
            extra = [repr(type(a).__name__) for a in args] + list(kwargs)
            raise TypeError(f"{self.label} takes one input, got also {', '.join(extra)}.")
        return x

    def _connect(self, x, training=None, mask=None):
        arguments.check_text(self, x)
        sees = any(custom.is_keras_style(one) for one in self.own_and_inner())
        shapes, seen = shapes_of(x), drawn(x) if mask is None and sees else mask
        with custom.expecting(self, shapes, seen):
            self._ensure(shapes)
            specs = self.compute_output_spec(x)
        self._nodes = (*self._nodes, node := Node(self, x, len(self._nodes), training, mask))
        return node.connect(specs)

    @property
    def built(self):
        """True when the layer's arrays are declared, that is, once an input shape is known."""
        return self._cell is not None

    @built.setter
    def built(self, value):
        """Keras's layers say `self.built = True` at the end of `build`; here it follows from the declarations."""

    def build(self, input_shape=None):
        """Declares the layer's arrays for `input_shape`, batch axis first; they are drawn when first needed.

        Without a shape, those of a layer whose arrays do not depend on it.
        """
        if self.__dict__.get("_recorder") is None:
            self._ensure(None if input_shape is None else as_shape(input_shape))
        else:
            custom.record_above(self, None if input_shape is None else as_shape(input_shape))

    def call(self, *args, **kwargs):
        """Computes what the layer does; for `super().call(inputs)` in the `call` of a class that extends this one."""
        return extended.call(self, *args, **kwargs)

    def add_weight(self, *args: Any, **kwargs: Any) -> Any:
        """Declares an array from `build` or `__init__`, for layers written the Keras way; returns its handle.

        Args: shape, initializer, dtype, trainable, regularizer, constraint, name, in Keras 3's order; or name, shape,
            dtype, initializer, regularizer, trainable, constraint, in Keras 2's, where a name comes first.
        """
        if args and (isinstance(args[0], str) or (args[0] is None and len(args) > 1)):
            names = ("name", "shape", "dtype", "initializer", "regularizer", "trainable", "constraint")
            args, kwargs = (), {**dict(zip(names, args, strict=False)), **kwargs}
        return self._add_weight(*args, **kwargs)

    def _add_weight(
        self, shape=(), initializer=None, dtype=None, trainable=True, regularizer=None, constraint=None, name=None,
        **kwargs,
    ):  # fmt: skip
        kwargs.pop("autocast", None), kwargs.pop("aggregation", None), kwargs.pop("overwrite_with_gradient", None)
        if kwargs:
            raise TypeError(f"{self.label}: add_weight has no argument {next(iter(kwargs))!r}.")
        if initializer is None:
            initializer = "glorot_uniform" if jnp.issubdtype(jnp.dtype(dtype or "float32"), jnp.floating) else "zeros"
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        about = initializers.get(initializer), regularizers.get(regularizer), constraints.get(constraint)
        return declare_weight(self, name, Weight(shape, *about, trainable, dtype))

    add_variable = add_weight

    def add_loss(self, loss):
        """Adds to the loss of the step, from inside `call`."""
        custom.add_loss(loss)

    def add_metric(self, value, name=None, aggregation="mean"):
        """Adds a value to the logs of fit and evaluate, from inside `call`: there, its mean over the batches.

        Args:
            value: Array; of several numbers the mean counts.
            name: Its name in the logs.
            aggregation: "mean", the only one; Keras 2 has no other either.
        """
        if aggregation not in ("mean", None):
            raise ValueError(f"{self.label}: add_metric(aggregation={aggregation!r}): expected 'mean'.")
        if not isinstance(name, str):
            raise ValueError(f"{self.label}: add_metric(value, name=...) needs a name for the logs, got {name!r}.")
        custom.add_metric(value, name)

    @property
    def losses(self):
        """Losses of the last eager call (`add_loss`, activity penalties), then the weights' penalties now."""
        found = list(self.__dict__.get("_last_losses", ()))
        for v in self.weights:
            if v.trainable and v.regularizer is not None:
                found.append(v.regularizer(v.value))
        return found

    @property
    def metrics(self):
        """The metrics that this layer and those inside hold as attributes."""
        return [m for layer in self.own_and_inner() for m in custom.metrics_of(layer)]

    def _ensure(self, shape):
        """Declares the arrays for `shape`, or checks that those already declared fit it."""
        if self._cell is not None and (shape is None or shape in self._cell.shapes):
            return
        if shape is None:
            self._adopt(self._declared_for_any())
            return
        self.check_input(shape)
        self._check_spec(shape)
        declared = self.declare(shape)
        self._check_spec(shape)  # `build` may have set it
        if self._cell is None:
            self._adopt(declared, shape)
        else:
            self._compare(declared, shape)
            self._cell.shapes.append(shape)

    def _declared_for_any(self):
        try:
            return self.declare(None)
        except (TypeError, AttributeError):
            if is_foreign(type(self)):
                raise
            raise ValueError(f"{self.label}: build(input_shape) needs a shape, batch axis first: (None, 4).") from None

    def _adopt(self, declared, shape=None):
        inner = self.children()
        own = {k: v for k, v in declared.items() if k not in inner}
        object.__setattr__(self, "_cell", Cell(self, own, [] if shape is None else [shape], inner))
        for key, child in inner.items():
            if getattr(self, "graph", None) is None:  # a graph's layers were built before it
                child._enter(self.path)
            if child._cell is None and key in declared:
                child._adopt(declared[key])

    @property
    def path(self):
        """The names of the layers that built this one, and its own: "bidirectional/forward_lstm/lstm_cell"."""
        scope = self.__dict__.get("_scope")
        return f"{scope}/{self.name}" if scope else self.name

    def _enter(self, scope):
        """Puts `scope` before the layer's path and those of the layers inside; the first layer around counts."""
        before = self.path
        if "_scope" not in self.__dict__:
            object.__setattr__(self, "_scope", scope)
            for child in self.children().values():
                if child.__dict__.get("_scope") == before:
                    del child.__dict__["_scope"]
                    child._enter(self.path)

    def _forget(self):
        """Undoes `_adopt`, for a layer that only lent its cells to a pure call."""
        for one in list(self.own_and_inner()):
            object.__setattr__(one, "_cell", None)

    def _compare(self, declared, shape):
        was, now = tree.flatten(self.declare(self._cell.shapes[0])) if self._cell.shapes else {}, tree.flatten(declared)
        for path, w in now.items():
            if path in was and tuple(was[path].shape) != tuple(w.shape):
                raise ValueError(
                    f"{self.label}: expected input like {shown(self._cell.shapes[0])}, the shape it was built with, "
                    f"got "
                    f"{shown(shape)}: its {'/'.join(path)} is {tuple(was[path].shape)} and would have to be "
                    f"{tuple(w.shape)}. Was it first called on other data?"
                )

    def _require_built(self, what):
        if self._cell is None:
            raise ValueError(
                f"{self.label}: cannot {what} yet, its input shape is not known. Give the first layer an "
                f"`input_shape`, call build(input_shape), or call it on data once."
            )

    # ------------------------------------------------------------------------------------------- arrays

    def gather(self, seen=None):
        """Returns (params, state): the trees of this layer's current arrays, and those of the layers inside.

        What is reached by several paths is in them once, under the first.
        """
        params, state = self._cell.arrays()
        for key, child in self._inner_once(seen := set() if seen is None else seen):
            p, s = child.gather(seen)
            if p:
                params[key] = p
            if s:
                state[key] = s
        return params, state

    def scatter(self, params, state, seen=None):
        """Stores trees shaped like `gather`'s as this layer's current arrays."""
        self._cell.store(params, state)
        for key, child in self._inner_once(seen := set() if seen is None else seen):
            child.scatter(params.get(key, {}), state.get(key, {}), seen)

    def _inner_once(self, seen):
        """Yields (key, layer) of the built layers directly inside that are not in `seen`, and adds them to it."""
        for key, child in self._cell.inner.items():
            if child._cell is not None and id(child) not in seen:
                seen.add(id(child))
                yield key, child

    def _inside(self):
        """Returns the layers directly inside this one, in Keras's order."""
        return (self._cell.inner if self._cell is not None else self.children()).values()

    def own_and_inner(self):
        """Yields this layer and all layers inside it, parents first, each once."""
        seen = set()

        def walk(layer):
            if id(layer) not in seen:
                seen.add(id(layer))
                yield layer
                for child in layer._inside():
                    yield from walk(child)

        yield from walk(self)

    @property
    def params(self):
        """A copy of the tree of trainable-kind arrays, for the pure functions."""
        self._require_built("hand out parameters")
        return jax.tree.map(jnp.array, self.gather()[0])

    @property
    def state(self):
        """A copy of the tree of running values, for the pure functions."""
        self._require_built("hand out running values")
        return jax.tree.map(jnp.array, self.gather()[1])

    @property
    def weights(self):
        """List of `Variable` in Keras's order: own trained ones, own running ones, then those of inner layers."""
        declared = declarations(self)
        names = (n for n, w in sorted(declared.items(), key=_is_running) if getattr(w, "saved", True))
        inner = [v for layer in self._inside() for v in layer.weights]
        return list(dict.fromkeys([*(Variable(self, n) for n in names), *inner]))  # those of a shared layer once

    @property
    def variables(self):
        """The weights, and the states that noise is drawn by in `stateless_call`."""
        return [*self.weights, *stateless.noise_states(self)]

    def variables_by_path(self):
        """Returns {path in the trees of `gather`: `Variable`} of all arrays of this layer and those inside."""
        found = {(name,): Variable(self, name) for name in self._cell.declared}
        for key, child in self._cell.inner.items():
            if child._cell is not None:
                found |= {(key, *path): v for path, v in child.variables_by_path().items()}
        return found

    @property
    def trainable_weights(self):
        """The weights that training changes: trained ones of layers whose `trainable` is True."""
        return [v for v in self.weights if v.trainable]

    @property
    def non_trainable_weights(self):
        """The weights that training leaves or that only `forward` updates."""
        return [v for v in self.weights if not v.trainable]

    trainable_variables = trainable_weights

    @property
    def non_trainable_variables(self):
        """The weights that training leaves, and the states that noise is drawn by in `stateless_call`."""
        return [*self.non_trainable_weights, *stateless.noise_states(self)]

    stateless_call = stateless.stateless_call

    def get_weights(self):
        """Returns the arrays as a list of NumPy copies, in the order of `weights`, all of one step of training."""
        with lock:
            return [v.numpy() for v in self.weights]

    def set_weights(self, weights):
        """Sets all arrays from a list in the order of `weights`; all or nothing.

        Raises:
            ValueError: A wrong number of arrays, or one of a wrong shape.
        """
        targets = self.weights
        if not targets and len(weights):
            self._require_built("set weights")
        if len(weights) != len(targets):
            raise ValueError(
                f"{self.label}: set_weights expected {len(targets)} arrays, got {len(weights)}. "
                f"Expected shapes: {[v.shape for v in targets]}."
            )
        arrays = [v.convert(a) for v, a in zip(targets, weights, strict=True)]
        for v, a in zip(targets, arrays, strict=True):
            v.store(a)

    def count_params(self):
        """Returns the number of numbers in all weights; nothing is allocated."""
        self._require_built("count parameters")
        return sum(int(np.prod(v.shape)) for v in self.weights)

    @property
    def flags(self):
        """What decides which of the layer's own weights are trained, and how it computes: part of a program's key."""
        return self.trainable, self._changes, frozenset(self._cell.frozen if self._cell is not None else ())

    def trained_paths(self, seen=None):
        """Returns the set of paths in `params` that training changes now, by every layer's `trainable`."""
        self._require_built("list its trained weights")
        frozen = self._cell.frozen
        own = {(n,) for n, w in self._cell.declared.items() if w.trainable and self.trainable and n not in frozen}
        inner = self._inner_once(seen := set() if seen is None else seen)
        return own | {(key, *path) for key, child in inner for path in child.trained_paths(seen)}

    def declarations(self, seen=None):
        """Returns {path: Weight} of everything declared, own and inner, each array once."""
        out = {(n,): w for n, w in self._cell.declared.items()}
        for key, child in self._inner_once(seen := set() if seen is None else seen):
            out |= {(key, *p): w for p, w in child.declarations(seen).items()}
        return out

    # ------------------------------------------------------------------------------------------- copies

    def __getstate__(self):
        """What pickle and deepcopy take: all but the calls in graphs, which the graph of a model brings along."""
        return {name: portable(value) for name, value in self.__dict__.items() if name != "_nodes"}

    def __copy__(self):
        """A deep copy, as in Keras: two layers with the same arrays could not both be trained."""
        return copy.deepcopy(self)

    # ------------------------------------------------------------------------------------------ config

    def get_config(self):
        """Returns the settings in JSON's types, as Keras names them."""
        base = {"name": self.name, "trainable": self.trainable, "dtype": self.dtype.name}
        config = super().get_config()
        if config.get("activity_regularizer", 0) is None:
            del config["activity_regularizer"]
        return base | {k: v for k, v in config.items() if k not in base}

    @property
    def input(self):
        """The symbol or tree of symbols that the layer was last called on in a graph."""
        return self._node("input").inputs

    @property
    def output(self):
        """The symbol or tree of symbols of the layer's last call in a graph."""
        return self._node("output").outputs

    def _node(self, what):
        if not self._nodes:
            raise AttributeError(f"{self.label} has no {what}: it was not called on symbols of a graph.")
        return self._nodes[-1]

    def save_own_variables(self, store):
        """Writes the layer's own arrays, not those of layers inside, into a dict by their numbers."""
        store.update({str(i): v.numpy() for i, v in enumerate(self._own_variables())})

    def load_own_variables(self, store):
        """Reads what `save_own_variables` wrote.

        Raises:
            ValueError: It holds another number of arrays, or one of another shape.
        """
        own = self._own_variables()
        if len(store.keys()) != len(own):
            raise ValueError(f"{self.label}: expected {len(own)} arrays of its own, got {len(store.keys())}.")
        for v, array in [(v, v.convert(np.asarray(store[str(i)]))) for i, v in enumerate(own)]:
            v.store(array)

    def _own_variables(self):
        self._require_built("save its weights")
        return [v for v in self.weights if v.layer is self]

    def get_build_config(self):
        """Returns the input shape that the layer was built with, or None."""
        shapes = self._cell.shapes if self._cell is not None else ()
        return {"input_shape": shapes[0]} if shapes else None

    def build_from_config(self, config):
        """Builds the layer as `get_build_config` of another one said."""
        if config:
            self.build(config["input_shape"])

    quantization_mode = None  # there are no quantized layers
    metrics_variables = property(lambda self: [v for m in self.metrics for v in m.variables])

    @property
    def compute_dtype(self):
        return self.dtype.compute_dtype

    @property
    def variable_dtype(self):
        return self.dtype.variable_dtype

    @property
    def dtype_policy(self):
        """Keras 3's name of `dtype`."""
        return self.dtype

    @dtype_policy.setter
    def dtype_policy(self, value):
        object.__setattr__(self, "dtype", dtypes.policy(value))
        revision.changed()


def _flattened(layer, recursive=True, include_self=True):
    """Returns the layers inside, or those directly inside, as Keras's inner `_flatten_layers`."""
    inner = list(layer.own_and_inner())[1:] if recursive else list(layer._inside())
    return [layer, *inner] if include_self else inner


def _is_running(item):
    return not item[1].trainable

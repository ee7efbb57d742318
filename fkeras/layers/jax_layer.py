"""A pure JAX function, or a module of Flax, with the tree of its parameters, as a layer."""

import inspect

import jax
import jax.numpy as jnp

from fkeras.core import host_random, rng
from fkeras.layers.contract.base import Layer, Weight, layers
from fkeras.layers.contract.shapes import is_shape
from fkeras.layers.core import read_function, write_function


@layers.register
class JaxLayer(Layer):
    """Calls a pure function on parameters that the layer keeps: y = call_fn(params, inputs).

    Args:
        call_fn: Function with the parameters `params` and `inputs`, and any of `state`, `rng`, `training`. With `state`
            it returns (outputs, new state), else outputs.
        init_fn: Function with the parameters `rng` and `inputs`, and perhaps `training`, that returns the tree of
            parameters, with `state` (parameters, state). Not needed where `params` (and `state`) are given.
        params, state: Trees of arrays to begin with. They are no part of the config.
        seed: Int that decides the numbers of `init_fn`, or None for another at each layer.

    Where nothing random may happen (inference), `rng` is the same key at each call.

    Raises:
        ValueError: A function without these parameters, or neither `init_fn` nor `params`.

    Example:
        >>> def init(rng, inputs):
        ...     return {"w": jax.random.normal(rng, (inputs.shape[-1], 2)), "b": jnp.zeros(2)}
        >>> layer = JaxLayer(lambda params, inputs: inputs @ params["w"] + params["b"], init)
        >>> layer(jnp.ones((4, 3))).shape, [w.name for w in layer.weights]
        ((4, 2), ['params.b', 'params.w'])

    Reference:
        As Keras 3.
    """

    def __init__(self, call_fn, init_fn=None, params=None, state=None, seed=None, **kwargs):
        super().__init__(**kwargs)
        call_fn, init_fn = read_function(call_fn), read_function(init_fn)
        takes, needs = _parameters(call_fn), [("call_fn", call_fn, ("params", "inputs"))]
        if params is None:
            needs.append(("init_fn", init_fn, ("rng", "inputs")))
        for name, function, wanted in needs:
            missing = [p for p in wanted if p not in _parameters(function)]
            if missing:
                raise ValueError(
                    f"{self.label}: {name} needs the parameters {' and '.join(map(repr, wanted))}, got {function!r}, "
                    f"which has no {missing[0]!r}."
                )
        if "state" in takes and params is not None and state is None:
            raise ValueError(f"{self.label}: call_fn takes a `state`; give one beside `params`.")
        own = {"call_fn": call_fn, "init_fn": init_fn, "_takes": takes, "_forms": {}, "_given": None}
        own["seed"] = rng.next_seed() if seed is None else int(seed)
        if params is not None:
            own["_given"] = {"params": params, "state": {} if state is None else state}
        for name, value in own.items():
            object.__setattr__(self, name, value)

    def _start(self, shape):
        """Returns {"params": tree, "state": tree} to begin with."""
        if self._given is not None:
            return self._given
        x = jax.tree.map(lambda s: jnp.zeros([1 if d is None else d for d in s]), shape, is_leaf=is_shape)
        options = {"training": True} if "training" in _parameters(self.init_fn) else {}
        made = self.init_fn(rng=host_random.make_key(self.seed), inputs=x, **options)
        if "state" not in self._takes:
            return {"params": made, "state": {}}
        return dict(zip(("params", "state"), made, strict=True))

    def declare(self, shape):
        weights = {}
        for kind, tree in jax.eval_shape(lambda: jax.tree.map(jnp.asarray, self._start(shape))).items():
            leaves, self._forms[kind] = jax.tree_util.tree_flatten_with_path(tree)
            for i, (path, leaf) in enumerate(leaves):
                name = ".".join([kind, *map(_key_name, path)])
                start = _Leaf(self, shape, kind, i)
                weights[name] = Weight(leaf.shape, start, trainable=kind == "params", dtype=leaf.dtype)
        return weights

    def forward(self, params, state, x, ctx):
        given = {"params": self._tree("params", params), "state": self._tree("state", state), "inputs": x}
        given["training"] = ctx.training
        if "rng" in self._takes:
            given["rng"] = ctx.layer_key(self.seed) if ctx.key is not None else jax.random.key(self.seed)
        y = self.call_fn(**{name: value for name, value in given.items() if name in self._takes})
        if "state" not in self._takes:
            return y, state
        y, after = y
        return y, dict(zip(self._names(state), jax.tree.leaves(after), strict=True))

    def _names(self, arrays):
        return [name for name in self._cell.declared if name in arrays] if self.built else list(arrays)

    def _tree(self, kind, arrays):
        return jax.tree.unflatten(self._forms[kind], [arrays[name] for name in self._names(arrays)])

    def get_config(self):
        config = {"name": self.name, "trainable": self.trainable, "dtype": self.dtype.name, "seed": self.seed}
        for name in ("call_fn", "init_fn"):
            function = getattr(self, name)
            config[name] = None if function is None else write_function(function, self.label)
        return config


@layers.register
class FlaxLayer(JaxLayer):
    """A module of Flax Linen as a layer: "params" are trained, its other collections are running values.

    Args:
        module: A `flax.linen.Module`.
        method: Method of the module, or function (module, inputs), that is called in place of `__call__`. If it takes
            `training`, it is told so.
        variables: What `module.init` returned, to begin with; None makes them when the layer is built.
        seed: Int that decides the numbers of `init`, or None for another at each layer.

    While training the module is given the random streams "dropout" and "default". Models that hold one are saved by
    `save_weights`: a module is code, which files do not carry.

    Example:
        >>> import flax.linen as nn  # doctest: +SKIP
        >>> layer = FlaxLayer(nn.Dense(3))  # doctest: +SKIP
        >>> layer(jnp.ones((2, 4))).shape  # doctest: +SKIP
        (2, 3)

    Reference:
        As Keras 3.
    """

    def __init__(self, module, method=None, variables=None, seed=None, **kwargs):
        told = "training" in _parameters(module.__call__ if method is None else getattr(method, "__func__", method))

        def call_fn(params, state, rng, inputs, training):
            options = {"training": training} if told else {}
            rngs = {name: jax.random.fold_in(rng, i) for i, name in enumerate(("dropout", "default"))}
            changing = sorted(state) if training else False
            given = {"params": params, **state}
            out = module.apply(
                given, inputs, method=method, rngs=rngs if training else None, mutable=changing, **options
            )
            y, after = out if changing is not False else (out, {})
            return y, {**state, **after}

        def init_fn(rng, inputs):
            options = {"training": True} if told else {}
            return _split(
                module.init({"params": rng, "dropout": rng, "default": rng}, inputs, method=method, **options)
            )

        params, state = (None, None) if variables is None else _split(variables)
        super().__init__(call_fn, init_fn, params, state, seed, **kwargs)
        object.__setattr__(self, "module", module)
        object.__setattr__(self, "method", method)

    def get_config(self):
        raise TypeError(
            f"{self.label}: a Flax module is code, which a config does not carry. Build the model by its own program, "
            f"and keep its numbers by save_weights and load_weights."
        )


def _split(variables):
    """Returns the ("params", other collections) of a module of Flax."""
    variables = dict(variables)
    return variables.pop("params", {}), variables


class _Leaf:
    """The initializer of one array of a tree that a function makes as a whole."""

    def __init__(self, layer, shape, kind, index):
        self.layer, self.shape, self.kind, self.index = layer, shape, kind, index

    def __call__(self, shape, dtype=None):
        return jnp.array(jax.tree.leaves(self.layer._start(self.shape)[self.kind])[self.index], dtype)


def _parameters(function):
    return frozenset(inspect.signature(function).parameters) if callable(function) else frozenset()


def _key_name(key):
    return str(next(getattr(key, n) for n in ("key", "idx", "name") if hasattr(key, n)))

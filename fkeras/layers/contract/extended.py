"""Classes that extend a layer of this package, or a model, the Keras way: with a `call` or a `build` of their own.

The nearest class says how a layer is written: `call` before `forward` is the Keras way, which `custom.py` runs. Inside,
`super().call(...)` computes what the class above computes, with the arrays of the call that is running, and
`super().build(...)` declares what it declares.
"""

import functools

import jax
import jax.numpy as jnp

from fkeras.core.settings import is_foreign
from fkeras.layers.contract import arguments, custom
from fkeras.layers.contract.masks import remember_mask
from fkeras.layers.contract.shapes import as_shape

_COMPUTES = "forward", "forward_masked"
_FOLLOWS = (*_COMPUTES, "declare", "compute_output_spec", "windows")  # what a `call` of one's own replaces


def prepare(cls, base):
    """Finds out how a subclass of `base` (`Layer`) is written, and makes what it overrides count."""
    above = cls.__mro__[1]
    computes = _nearest(cls, base, "call", _COMPUTES)
    declares = _nearest(cls, base, "build", ("declare",)) and (computes or is_foreign(cls))
    own = cls.__dict__
    if computes and not above.computes_in_call:
        cls.packed_mask = None if above is base else above.compute_mask  # it takes the arguments as they were packed
        cls.ints_above = above.takes_ints
        cls.takes_ints = own.get("takes_ints", above.takes_ints or True)  # as Keras, which casts floats alone
        if "rows_meet" not in own:
            cls.rows_meet = None  # what the class above knows of its rows does not hold for another `call`
        for name in _FOLLOWS:
            _follow(cls, base, name)
    elif declares:
        _follow(cls, base, "declare")
    if "build" in own and declares:
        cls._build = own["build"]
        cls.build = _recording(cls._build)
    cls.computes_in_call, cls.records_build = bool(computes), bool(declares)


def _nearest(cls, base, keras_way, pure):
    """Whether the nearest class that writes one of these methods writes `keras_way`."""
    for one in cls.__mro__[: cls.__mro__.index(base)]:
        if any(name in vars(one) and not hasattr(vars(one)[name], "follows") for name in pure):
            return False
        if keras_way in vars(one):
            return True
    return False


def _follow(cls, base, name):
    """Gives a class that is written the Keras way the method that follows its `call` or `build`."""
    above, plain = getattr(super(cls, cls), name), getattr(base, name)
    if name in vars(cls) or above is plain:
        return

    @functools.wraps(above)
    def method(self, *args, **kwargs):
        keras_way = self.records_build if name == "declare" else self.computes_in_call
        keras_way = (keras_way or self.computes_in_call) and not custom.is_above(self)
        return (plain if keras_way else above)(self, *args, **kwargs)

    method.follows = True
    setattr(cls, name, method)


def _recording(build):
    """Wraps a user's `build`: on a scratch copy it records what it declares, else it builds the layer."""

    @functools.wraps(build)
    def wrapped(self, input_shape=None, *args, **kwargs):
        if self.__dict__.get("_recorder") is not None:
            return build(self, input_shape, *args, **kwargs)
        shapes = [as_shape(s) for s in (input_shape, *args, *kwargs.values()) if s is not None]
        return self._ensure({"args": shapes, "kwargs": {}} if len(shapes) > 1 else shapes[0] if shapes else None)

    return wrapped


def call(layer, *args, training=None, mask=None, **kwargs):
    """Computes what the class above does, in the layer's own `call`; anywhere else it calls the layer."""
    frame = custom.running()
    if frame is None or frame.layer is not layer:
        return layer(*args, training=training, mask=mask, **kwargs)
    if not args:
        x, kwargs = arguments.first_by_name(layer, kwargs)
        args = (x,)
    more, training, mask = arguments.by_position(layer, args[1:], training, mask)
    if training is None:
        training = frame.ctx.training and layer.training_flows
    with custom.above(layer):
        x = layer.pack(arguments.as_arrays(layer, args[0]), *more, **kwargs)
        x = jax.tree.map(jnp.asarray, layer.prepared(x))
        if layer.casts and not layer.ints_above:
            x = jax.tree.map(lambda a: a.astype(jnp.result_type(a, layer.dtype.compute_dtype)), x)
        params, state = layer.gather()
        n = frame.calls[None] = frame.calls.get(None, -1) + 1
        ctx = frame.ctx.at(*([f"call_{n}"] if n else []), training=bool(training), mask=mask)
        y, state, mask = layer.computed(params, state, x, ctx)
        layer.scatter(params, state)
    return remember_mask(y, mask) if mask is not None else y

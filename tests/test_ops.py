"""`fkeras.ops` against `keras.ops`: values, dtypes, shapes; compiled and drawn into graphs."""

import contextlib
import inspect
import pickle

import jax
import numpy as np
import pytest

import fkeras
from fkeras import ops
from fkeras.core.operations import OPS
from fkeras.layers.contract.base import Context
from tests.catalog.ops import EAGER_ONLY, INTEGERS, NO_GRAPH, NO_NUMBERS, SPECIAL, cases, draw

ALL = cases()
TOLERANCE = {"float16": 2e-2, "bfloat16": 5e-2, "float32": 2e-5, "complex64": 2e-5}
EAGER = [k for k, (name, _) in ALL.items() if name in EAGER_ONLY and (k in SPECIAL or "float32[2, 3]" in k)]
# Every op once with its numbers: in float32, and all special calls.
ONCE = list({name if k not in SPECIAL else k: k for k, (name, _) in reversed(ALL.items()) if name not in EAGER_ONLY
             and (k in SPECIAL or f" {'int32' if name in INTEGERS else 'float32'}" in k)}.values())  # fmt: skip
GROUPS = [ONCE[i : i + 24] for i in range(0, len(ONCE), 24)]
PRODUCT = [k for k, (name, _) in ALL.items() if k not in SPECIAL and name not in EAGER_ONLY]


class Arrays:
    """Hands out the arrays of a call one after the other: drawn, or those given."""

    def __init__(self, given=None, make=lambda array: array):
        self.given, self.found, self.make = given, [], make

    def __call__(self, *shape, dtype="float32", low=-2.0, high=2.0):
        place = len(self.found)
        value = draw(place, shape, dtype, low, high) if self.given is None else self.given[place]
        self.found.append(value)
        return self.make(value)


def _arrays_of(key):
    """Returns the arrays that a call draws: found out by tracing it."""
    arrays = Arrays()
    with contextlib.suppress(Exception):  # what is wrong shows where the call is compared
        jax.eval_shape(lambda: ALL[key][1](ops, arrays))
    return arrays.found


def _compare(ours, theirs, key):
    name = ALL[key][0]
    ours, theirs = jax.tree.leaves(ours), jax.tree.leaves(theirs)
    assert len(ours) == len(theirs), key
    for a, b in zip(ours, theirs, strict=True):
        if not hasattr(a, "shape"):
            assert (type(a), a) == (type(b), b), key
            continue
        assert (a.shape, str(a.dtype)) == (b.shape, str(b.dtype)), key
        if name not in NO_NUMBERS and not isinstance(a, jax.ShapeDtypeStruct):
            tolerance = TOLERANCE.get(str(a.dtype), 0)
            wide = [np.asarray(v, "complex64" if "complex" in str(v.dtype) else "float64") for v in (a, b)]
            np.testing.assert_allclose(*wide, rtol=tolerance, atol=tolerance, err_msg=key)


def _drawn(key, arrays, results):
    """Returns (graph of the call on symbols, places of its outputs among the results); checks shapes and dtypes."""
    symbols = []

    def symbol(array):
        symbols.append(fkeras.Input(batch_shape=array.shape, dtype=str(array.dtype)))
        return symbols[-1]

    drawn = jax.tree.leaves(ALL[key][1](ops, Arrays(arrays, symbol)))
    places = [i for i, one in enumerate(drawn) if isinstance(one, fkeras.KerasTensor)]
    for one, array in zip(drawn, results, strict=True):
        known = not isinstance(one, fkeras.KerasTensor) or (one.shape, one.dtype) == (array.shape, array.dtype)
        assert known, (key, one, array.shape, array.dtype)
    return (fkeras.Model(symbols, [drawn[i] for i in places]).graph, places) if places else (None, [])


@pytest.mark.parametrize("keys", GROUPS, ids=lambda keys: f"{keys[0]} to {keys[-1]}")
def test_ops_equal_keras_compiled_and_drawn_into_graphs(keys, keras):
    """One program a group: Keras's op, ours, and the graph that ours records; every eighth also eagerly."""
    arrays = {key: _arrays_of(key) for key in keys}
    graphs = {}
    for key in keys:
        if ALL[key][0] not in NO_GRAPH and arrays[key]:
            results = jax.tree.leaves(jax.eval_shape(lambda a, k=key: ALL[k][1](ops, Arrays(a)), arrays[key]))
            graphs[key] = _drawn(key, arrays[key], results)

    def run(arrays):
        found = {}
        for key, given in arrays.items():
            graph, _ = graphs.get(key, (None, None))
            replayed = graph.forward({}, {}, given, Context())[0] if graph else []
            call = ALL[key][1]
            theirs = [] if key in eager else call(keras.ops, Arrays(given))
            found[key] = theirs, call(ops, Arrays(given)), replayed
        return found

    # Keras cannot compile some of its own.
    outcomes = {key: _outcome(ALL[key][1], keras.ops, arrays[key]) for key in keys}
    eager = {key: ALL[key][1](keras.ops, Arrays(arrays[key])) for key in keys if isinstance(outcomes[key], Exception)}
    found = jax.jit(run)(arrays)
    for n, (key, (theirs, ours, replayed)) in enumerate(found.items()):
        _compare(ours, eager.get(key, theirs), key)
        if key in graphs and graphs[key][0]:
            _compare(jax.tree.leaves(replayed), [jax.tree.leaves(ours)[i] for i in graphs[key][1]], key)
        if n % 8 == 0:
            _compare(ALL[key][1](ops, Arrays(arrays[key])), ours, key)


@pytest.mark.parametrize("key", EAGER)
def test_ops_whose_results_no_program_can_have_equal_keras(key, keras):
    arrays = Arrays()
    _compare(ALL[key][1](ops, arrays), ALL[key][1](keras.ops, Arrays(arrays.found)), key)


def _outcome(call, namespace, arrays):
    try:
        return jax.eval_shape(lambda a: call(namespace, Arrays(a)), arrays)
    except Exception as err:
        return err


# Where Keras refuses a dtype, or falls over, and we compute.
MORE_THAN_KERAS = {"gelu", "silu", "swish"}


def _check_dtypes(keys, keras):
    """Shapes and dtypes are Keras's, traced; where Keras refuses a dtype so do we."""
    for key in keys:
        arrays = _arrays_of(key)
        theirs, ours = _outcome(ALL[key][1], keras.ops, arrays), _outcome(ALL[key][1], ops, arrays)
        if isinstance(theirs, Exception):
            assert isinstance(ours, Exception) or ALL[key][0] in MORE_THAN_KERAS, (key, theirs)
        else:
            assert not isinstance(ours, Exception), (key, ours)
            _compare(ours, theirs, key)


@pytest.mark.parametrize("start", range(4))
def test_dtypes_are_those_of_keras(start, keras):
    """A fixed part of the product of ops, dtypes, ranks and axes."""
    _check_dtypes(PRODUCT[start::12], keras)


@pytest.mark.long
@pytest.mark.parametrize("start", range(40))
def test_the_whole_product_has_the_dtypes_and_numbers_of_keras(start, keras):
    _check_dtypes(PRODUCT[start::40], keras)
    for key in PRODUCT[start::40]:
        arrays = _arrays_of(key)
        if not isinstance(_outcome(ALL[key][1], keras.ops, arrays), Exception):
            _compare(ALL[key][1](ops, Arrays(arrays)), ALL[key][1](keras.ops, Arrays(arrays)), key)


def test_every_op_is_in_the_catalog():
    named = {name for name, _ in ALL.values()} | {key.split()[0] for key in SPECIAL}
    assert set(OPS) <= named, f"add a call to tests/catalog/ops.py for {sorted(set(OPS) - named)}"


@pytest.mark.parametrize("module", ["", "numpy", "nn", "linalg", "image"])
def test_names_and_signatures_are_those_of_keras(module, keras):
    theirs, ours = (getattr(o, module) if module else o for o in (keras.ops, ops))
    names = {n for n in dir(theirs) if not n.startswith("_")}
    assert names <= set(ours.__all__)
    for name in names:
        if callable(getattr(theirs, name)) and name != "layer_normalization":  # Keras hides `rms_scaling` in **kwargs
            assert str(inspect.signature(getattr(theirs, name))) == str(inspect.signature(getattr(ours, name))), name


def test_every_op_says_what_it_computes_and_where_that_is_from():
    for name, entry in OPS.items():
        doc = entry.public.__doc__
        assert doc.splitlines()[0].strip(), name
        assert "Source: " in doc, name


def test_ops_are_pickled_by_name():
    for entry in OPS.values():
        assert pickle.loads(pickle.dumps(entry.public)) is entry.public

"""Attention by real Keras's numbers, by hand, and by the laws of layers, on calls with several inputs and flags."""

import functools
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fkeras
from fkeras import Input, Model
from fkeras.core import tree
from fkeras.layers.attention import AdditiveAttention, Attention, GroupQueryAttention, MultiHeadAttention
from fkeras.layers.contract.base import Layer, layers
from fkeras.layers.embedding import Embedding
from fkeras.layers.kernels import attention as attend
from tests.catalog.layers_attention import ROWS

compiled = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0}
)  # what takes the time here
every_layer = pytest.mark.parametrize("case", ROWS, ids=str)


def _arguments(case):
    """Returns (positional, named) arguments of the call that the row describes."""
    x = case.input()
    if case.joined:
        masks = {"mask": [case.mask(n) if n in case.masks else None for n in ("query", "value")]} if case.masks else {}
        return [x], {**case.call, **masks}
    return x, {**case.call, **{f"{n}_mask": case.mask(n) for n in case.masks}}


def _packed(case, layer):
    args, kwargs = _arguments(case)
    return jax.tree.map(jnp.asarray, layer.pack(*args, **kwargs))


def _shapes(tree):
    return jax.tree.map(lambda a: tuple(a.shape), tree)


def _close(a, b, rtol=1e-5, atol=1e-5):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(np.asarray(x, "float64"), np.asarray(y, "float64"), rtol=rtol, atol=atol)


def _objective(y):
    return sum(jnp.sum(jnp.sin(a.astype(jnp.float32))) for a in jax.tree.leaves(y))


def _build(case):
    """Returns (layer, packed input, parameters)."""
    layer = case.build()[0]
    x = _packed(case, layer)
    layer.build(_shapes(x))
    return layer, x, _draw(layer, _shapes(x))


def _draw(layer, shapes):
    """Draws parameters by NumPy: nothing to compile."""
    random = np.random.default_rng(3)
    declared = tree.flatten(layer.declare(shapes))
    assert all(w.trainable for w in declared.values())
    return tree.unflatten({p: random.normal(size=w.shape).astype("float32") for p, w in declared.items()})


@every_layer
def test_laws(case, key):
    """Shapes are as declared, rows do not see each other, configs come back, half precision keeps dtypes."""
    layer, x, params = _build(case)
    twin = type(layer).from_config(json.loads(json.dumps(layer.get_config())))
    assert twin.get_config() == layer.get_config()
    half = type(layer).from_config({**layer.get_config(), "dtype": "mixed_bfloat16"})
    fewer = jax.tree.map(lambda a: a[:1], x)

    @compiled
    def run(params, x, fewer, key):
        here = {"training": True, "key": key}
        y = layer.apply(params, {}, x, **here)[0], layer.apply(params, {}, fewer, **here)[0]
        return *y, half.apply(params, {}, x)[0], layer.apply(params, {}, x)[0] if layer.dropout else y[0]

    y, first, rounded, plain = run(params, x, fewer, key)
    assert jax.tree.leaves(_shapes(layer.compute_output_spec(x))) == jax.tree.leaves(_shapes(y))
    _close(jax.tree.map(lambda a: a[:1], y), first)
    assert {a.dtype for a in jax.tree.leaves(rounded)} == {jnp.dtype("bfloat16")}
    # Eight bits of mantissa in inputs, weights and results; scores and softmax are float32.
    scale = max(float(jnp.abs(a).max()) for a in jax.tree.leaves(plain))
    _close(rounded, plain, rtol=0.05, atol=0.05 * scale)


@every_layer
def test_agrees_with_keras(case, keras):
    """Outputs, weights of the attention, gradients, and the order of weights are real Keras's."""
    layer, x, params = _build(case)
    args, kwargs = _arguments(case)
    if case.kind == "MultiHeadAttention" and "query_mask" in kwargs:
        # Keras drops an explicit query_mask for the mask that travels with the query: say it another way.
        given = kwargs.pop("query_mask")[:, :, None]
        kwargs["attention_mask"] = kwargs.get("attention_mask", True) & given
    start = {} if case.joined else {"kernel_initializer": "zeros"}
    twin = getattr(keras.layers, case.kind)(**case.kwargs, **start)
    twin.build(case.shape) if case.joined else twin.build(*case.shape)
    assert [v.name for v in layer.weights] == [w.name for w in twin.weights]
    assert [v.shape for v in layer.weights] == [tuple(w.shape) for w in twin.weights]
    paths = [(v.name,) if v.layer is layer else (v.layer.name, v.name) for v in layer.weights]
    leaves = tree.flatten(params)

    def ours(params, x):
        y = layer.apply(params, {}, x)[0]
        return _objective(y), y

    def theirs(values, args):
        y = twin.stateless_call(values, [v.value for v in twin.non_trainable_variables], *args, **kwargs)[0]
        return _objective(y), y

    (_, y), (got, got_x) = compiled(jax.value_and_grad(ours, (0, 1), has_aux=True, allow_int=True))(params, x)
    trained = [leaves[p] for p in paths]
    (_, want_y), (want, want_x) = compiled(jax.value_and_grad(theirs, (0, 1), has_aux=True))(trained, args)
    # Scores and softmax are summed in another order: 1e-5 of the largest value, gradients a few times that.
    _close(y, want_y, atol=1e-5 * max(1.0, float(jnp.abs(jax.tree.leaves(want_y)[0]).max())))
    got = tree.flatten(got)
    for path, b in zip(paths, want, strict=True):
        _close(got[path], b, rtol=1e-4, atol=3e-5 * max(1.0, float(jnp.abs(b).max())))
        assert bool(jnp.any(got[path] != 0)) or path == ("key", "bias")  # a bias of keys adds the same to all scores
    of_x = [g for g in jax.tree.leaves(got_x["args"] if isinstance(got_x, dict) else got_x)]
    _close(of_x, want_x, rtol=1e-4, atol=3e-5 * max(1.0, *(float(jnp.abs(b).max()) for b in jax.tree.leaves(want_x))))


def test_jit_equals_eager(key):
    x = jax.random.normal(key, (2, 3, 4))
    layer = MultiHeadAttention(2, 3, dropout=0.5)
    params = _draw(layer, [x.shape, x.shape])
    apply = lambda p, x, k: layer.apply(p, {}, layer.pack(x, x, use_causal_mask=True), training=True, key=k)[0]  # noqa: E731
    _close(compiled(apply)(params, x, key), apply(params, x, key))


# ------------------------------------------------------------------------------------- by hand


def test_weights_by_hand():
    """Scores 0 and log(3) give the weights 1/4 and 3/4."""
    query, key = jnp.full((1, 1, 1, 1), np.log(3.0)), jnp.array([0.0, 1.0]).reshape(1, 2, 1, 1)
    value = jnp.array([8.0, 4.0]).reshape(1, 2, 1, 1)
    out, weights = attend.dot_product_attention(query, key, value, with_weights=True)
    np.testing.assert_allclose(weights.ravel(), [0.25, 0.75], rtol=1e-6)
    np.testing.assert_allclose(out.ravel(), [5.0], rtol=1e-6)


def test_matches_jax_nn():
    """jax.nn.dot_product_attention is the second judge: masks, bias, grouped heads, scale, causal."""
    random = np.random.default_rng(0)
    q, k, v, bias = (
        random.normal(size=s).astype("float32") for s in ((2, 5, 4, 8), (2, 7, 2, 8), (2, 7, 2, 8), (1, 4, 5, 7))
    )
    mask = random.random((2, 1, 5, 7)) < 0.7
    every = ({}, {"mask": mask}, {"bias": bias, "is_causal": True}, {"scale": 0.3, "mask": mask, "bias": bias})
    ours = compiled(lambda *a: [attend.dot_product_attention(*a, **o).output for o in every])
    _close(ours(q, k, v), compiled(lambda *a: [jax.nn.dot_product_attention(*a, **o) for o in every])(q, k, v))


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_gradients_in_half_precision_are_products_in_half_precision(dtype):
    """JAX's own gradients of a product that gives float32 were products of float32 arrays."""
    q = jax.ShapeDtypeStruct((2, 4, 2, 8), dtype)

    def loss(q, k, v):
        out = attend.dot_product_attention(q, k, v).output + attend.attend(attend.dot_scores(q, k), v)[0]
        return jnp.sum(out.astype(jnp.float32))

    lowered = jax.jit(jax.grad(loss, (0, 1, 2))).lower(q, q, q).as_text()
    found = re.findall(r"dot_general .* : \(tensor<.*x(\w+)>, tensor<.*x(\w+)>\)", lowered)
    assert len(found) == 2 * 6 and {t for pair in found for t in pair} == {jnp.dtype(dtype).name.replace("float", "f")}


def test_a_wide_product_is_differentiated_like_any_other(key):
    """Forwards, backwards, twice, and with respect to one side."""
    a, b = jax.random.normal(key, (3, 4)), jax.random.normal(key, (4, 2))

    def derivatives(product):
        def f(a, b):
            return jnp.sum(jnp.sin(product(a, b)))

        return jax.grad(f)(a, b), jax.grad(f, 1)(a, b), jax.hessian(f, (0, 1))(a, b), jax.jvp(f, (a, b), (2 * a, b))

    _close(derivatives(attend.wide_matmul), derivatives(jnp.matmul))


def test_a_query_without_keys_takes_the_mean_of_all_values():
    q = jnp.ones((1, 2, 1, 4))
    v = jnp.arange(3.0).reshape(1, 3, 1, 1)
    mask = jnp.array([[True, False, False], [False, False, False]])[None, None]
    out = attend.dot_product_attention(q, jnp.ones((1, 3, 1, 4)), v, mask).output
    np.testing.assert_allclose(out.ravel(), [0.0, 1.0])


def test_masked_steps_get_no_weight_and_no_gradient(key):
    x = jax.random.normal(key, (1, 4, 6))
    layer = MultiHeadAttention(2, 3)
    mask = jnp.array([[True, True, False, True]])
    params = _draw(layer, [x.shape, x.shape])
    grad = compiled(jax.grad(lambda v: jnp.sum(layer.apply(params, {}, layer.pack(x, v, value_mask=mask))[0] ** 2)))(x)
    assert bool(jnp.all(grad[0, 2] == 0)) and bool(jnp.all(jnp.any(grad[0, :2] != 0, -1)))


def test_large_scores_do_not_overflow():
    q = jnp.full((1, 2, 1, 4), 1e4)
    for dtype in (jnp.float32, jnp.float16, jnp.bfloat16):
        a = q.astype(dtype)
        out = compiled(lambda a: attend.dot_product_attention(a, a, a, is_causal=True).output)(a)
        assert np.isfinite(np.asarray(out, "float32")).all()


def test_dropout_drops_by_row_and_keeps_the_mean(key):
    layer = MultiHeadAttention(2, 4, dropout=0.5, use_bias=False)
    x = jnp.ones((4, 64, 3))
    params = _draw(layer, [x.shape, x.shape])
    run = compiled(lambda x: [layer.apply(params, {}, layer.pack(x, x), training=t, key=key)[0] for t in (False, True)])
    plain, noisy = map(np.asarray, run(x))
    assert not np.allclose(plain, noisy) and not np.allclose(noisy[0], noisy[1])
    # 4 * 64 * 64 * 2 weights dropped with probability 1/2: their mean is within 5 sigma = 5 / sqrt(32768) of 1.
    np.testing.assert_allclose(np.mean(noisy / plain), 1.0, atol=0.03)


def test_activity_regularizer_is_the_projections_as_in_keras(keras):
    x = np.random.default_rng(0).normal(size=(2, 4, 6)).astype("float32")
    layer = MultiHeadAttention(2, 3, activity_regularizer="l2")
    twin = keras.layers.MultiHeadAttention(2, 3, activity_regularizer="l2", kernel_initializer="zeros")
    twin.build(x.shape, x.shape)
    params = _draw(layer, [x.shape, x.shape])
    values = [params[k][n] for k in ("query", "key", "value", "attention_output") for n in ("kernel", "bias")]

    def ours(x):
        losses = []
        layer.apply(params, {}, layer.pack(x, x), fkeras.layers.Context(losses=losses))
        return [total / count for total, count in losses]

    def theirs(x):
        return twin.stateless_call(values, [], x, x, return_losses=True)[2]

    np.testing.assert_allclose(np.sum(compiled(ours)(x)), np.sum(compiled(theirs)(x)), rtol=1e-5)


# ------------------------------------------------------------------- flags, masks and graphs


def _model():
    a, b = Input((5, 6), name="a"), Input((7, 4), name="b")
    y = MultiHeadAttention(2, 3, name="self")(a, a, use_causal_mask=True)
    mask = np.tril(np.ones((5, 7), bool))
    y, scores = MultiHeadAttention(2, 3, name="cross")(
        query=y, value=b, attention_mask=mask, return_attention_scores=True
    )
    y = Attention(name="plain")([y, y], use_causal_mask=True)
    return Model([a, b], [y, scores])


def test_flags_of_a_call_survive_in_a_graph_and_its_config(keras):
    model = _model()
    data = [a.astype("float32") for a in (np.random.rand(3, 5, 6), np.random.rand(3, 7, 4))]
    want = model.predict(data, verbose=0)
    assert [w.shape for w in want] == [(3, 5, 6), (3, 2, 5, 7)] == [(3, *s.shape[1:]) for s in model.outputs]
    assert want[1][0, 0, 0, 1] == 0  # the constant attention mask
    moved = [data[0].copy(), data[1]]
    moved[0][:, 4] += 1
    np.testing.assert_allclose(model.predict(moved, verbose=0)[0][:, :4], want[0][:, :4], rtol=1e-6)  # causal
    config = json.loads(json.dumps(model.get_config()))
    calls = {one["name"]: one["inbound_nodes"] for one in config["layers"]}
    assert calls["self"][0]["kwargs"] == {"use_causal_mask": True}
    for twin in (Model.from_config(config), keras.Model.from_config(config)):
        twin.set_weights(model.get_weights())
        _close(twin.predict(data, verbose=0), want)


def test_keras_reads_and_writes_calls_with_flags(keras):
    """A config that real Keras wrote, with flags and a constant mask, gives the same numbers here."""
    x = keras.Input((5, 6))
    y = keras.layers.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True)
    y = keras.layers.GroupQueryAttention(3, 4, 2)(y, y, attention_mask=np.tril(np.ones((5, 5), bool)))
    y = keras.layers.AdditiveAttention()([y, y], use_causal_mask=True)
    theirs = keras.Model(x, y)
    ours = Model.from_config(json.loads(json.dumps(theirs.get_config(), default=str)))
    ours.set_weights(theirs.get_weights())
    data = np.random.rand(3, 5, 6).astype("float32")
    _close(ours.predict(data, verbose=0), theirs.predict(data, verbose=0))


def test_masks_travel_through_a_model(keras):
    ids = np.array([[3, 2, 1, 0, 0], [1, 2, 3, 4, 0]])
    x = Input((5,), dtype="int32")
    e = Embedding(6, 4, mask_zero=True)(x)
    ours = Model(x, MultiHeadAttention(2, 3)(e, e, use_causal_mask=True))
    kx = keras.Input((5,), dtype="int32")
    ke = keras.layers.Embedding(6, 4, mask_zero=True)(kx)
    theirs = keras.Model(kx, keras.layers.MultiHeadAttention(2, 3)(ke, ke, use_causal_mask=True))
    ours.set_weights(theirs.get_weights())
    real = ids != 0
    _close(ours.predict(ids, verbose=0)[real], theirs.predict(ids, verbose=0)[real])
    _, _, mask = ours.forward_masked(*ours.gather(), jnp.asarray(ids), fkeras.layers.Context())
    np.testing.assert_array_equal(mask, real)


def test_a_layer_of_ones_own_passes_flags_to_attention_under_jit(key):
    class Block(Layer):
        def __init__(self, heads, **kwargs):
            super().__init__(**kwargs)
            self.attention = MultiHeadAttention(heads, 3)

        def call(self, x, causal=False):
            return self.attention(query=x, value=x, key=x, use_causal_mask=causal)

    x = Input((5, 6))
    model = Model(x, Block(2)(x, causal=True))
    data = np.random.rand(2, 5, 6).astype("float32")
    want = model.predict(data, verbose=0)
    data[:, 4] += 1
    np.testing.assert_allclose(model.predict(data, verbose=0)[:, :4], want[:, :4], rtol=1e-6)
    model.compile("sgd", "mse")
    model.fit(data, data, epochs=1, verbose=0)


def test_masks_over_several_attention_axes():
    """A mask over an image's two axes is laid out by axis, whichever of them are attended over."""
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 6)).astype("float32")
    mask = np.ones((2, 3, 4), bool)
    mask[:, 1, 2] = False
    changed = x.copy()
    changed[:, 1, 2] += 5
    for axes in (None, 2, (2, 1)):
        layer = MultiHeadAttention(2, 3, attention_axes=axes)
        params = _draw(layer, [x.shape, x.shape])

        def run(v, mask, layer=layer, params=params):
            return layer.apply(params, {}, layer.pack(x, v, value_mask=mask))[0]

        run = compiled(run)
        np.testing.assert_allclose(run(changed, mask), run(x, mask), rtol=1e-5, atol=1e-5)
        assert not np.allclose(run(changed, mask | True), run(x, mask | True))


def test_freezing_before_and_after_the_first_call():
    x = jnp.ones((1, 3, 4))
    early, late = MultiHeadAttention(2, 3, trainable=False), MultiHeadAttention(2, 3)
    early.build(x.shape, x.shape)
    late.build(x.shape, x.shape)
    late.trainable = False
    assert early.trainable_weights == late.trainable_weights == [] and len(late.non_trainable_weights) == 8


# --------------------------------------------------------------------------- the device's kernel


def _half(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.bfloat16)


def test_fused_kernel_says_why_not():
    q, odd, f32 = _half(2, 4, 2, 8), _half(2, 5, 2, 8), jax.ShapeDtypeStruct((2, 4, 2, 8), jnp.float32)
    mask = jax.ShapeDtypeStruct((2, 1, 5, 5), jnp.bool_)
    for args, options, why in (
        ((f32, f32, f32), {}, "float16 and bfloat16, not float32"),
        ((q, q, q), {"drops": True}, "no dropout"),
        ((q, q, _half(2, 4, 2, 16)), {}, "one size, a multiple of 8 up to 128, not 8 and 16"),
        ((odd, odd, odd, mask), {}, "even lengths only, not 5 and 5"),
        ((q, q, q), {}, "the device is a CPU"),
    ):
        assert why in attend.fused_kernel(*args, **options)


def test_fused_kernel_falls_back_where_cudnn_is_missing(monkeypatch):
    class Gpu:
        platform, compute_capability = "gpu", "7.5"

    monkeypatch.setattr(jax, "local_devices", lambda *a, **k: [Gpu()])
    q = _half(2, 4, 2, 8)
    assert "capability 8.0 or later, not 7.5" in attend.fused_kernel(q, q, q)
    Gpu.compute_capability = "9.0"
    assert "JAX's cuDNN kernel refused it" in attend.fused_kernel(q, q, q)
    assert jax.eval_shape(attend.dot_product_attention, q, q, q).output.shape == q.shape


# ------------------------------------------------------------------------------------- messages


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: Attention()(x), "expected a list [query, value] or [query, value, key], got an input of shape"),
        (lambda x: Attention()([x, x[..., :2]]), "expected query [B, T, D], value [B, S, V] and key [B, S, D]"),
        (
            lambda x: Attention()([x, x], mask=x),
            "expected mask as a list [query mask, value mask], got shape (2, 5, 6)",
        ),
        (lambda x: Attention(score_mode="dott"), "expected one of 'dot', 'concat', got 'dott'. Did you mean 'dot'?"),
        (lambda x: MultiHeadAttention(2, 3)(x, x[0]), "expected query [B, T, C], value [B, S, D] and key [B, S, E]"),
        (lambda x: MultiHeadAttention(2, 3)(x, x, x[:, :4]), "expected query [B, T, C], value [B, S, D]"),
        (lambda x: MultiHeadAttention(2, 3, attention_axes=2)(x, x), "are not axes between batch and features"),
        (lambda x: MultiHeadAttention(2, 3).build((2, 5, 6)), "got one input of shape (2, 5, 6). Try layer(x, x)."),
        (lambda x: MultiHeadAttention(0, 3), "MultiHeadAttention(num_heads=0): expected a positive integer, got 0."),
        (lambda x: MultiHeadAttention(2, 3, dropout=0.1, flash_attention=True), "flash_attention has no dropout"),
        (lambda x: MultiHeadAttention(2, 3, flash_attention=True)(x, x), "no fused kernel for this call"),
        (
            lambda x: MultiHeadAttention(2, 3)(x[:, None], x[:, None], use_causal_mask=True),
            "use_causal_mask needs an order, so one attention axis, got (1, 2).",
        ),
        (
            lambda x: GroupQueryAttention(3, 4, 3),
            "num_query_heads must be a multiple of num_key_value_heads, got 4 and 3",
        ),
        (lambda x: GroupQueryAttention(3, 4, 2)(x[:, None], x[:, None]), "expected inputs of rank 3, [B, T, C]"),
        (
            lambda x: MultiHeadAttention(2, 3)(x, x, attention_mask=np.ones(5, bool)),
            "expected attention_mask like [B, T, S], rank 2 to 4, got shape (5,)",
        ),
        (lambda x: attend.dot_product_attention(x, x, x), "expected [batch, time, heads, features] three times"),
    ],
)
def test_messages(make, message):
    with pytest.raises(ValueError) as err:
        make(jnp.ones((2, 5, 6)))
    assert message in str(err.value)


def test_a_misspelt_call_argument_is_answered_with_the_nearest(key):
    x = jnp.ones((2, 5, 6))
    with pytest.raises(TypeError, match="use_causal_mask"):
        MultiHeadAttention(2, 3)(x, x, use_casual_mask=True)
    with pytest.raises(TypeError, match="Did you mean 'use_causal_mask'"):
        Attention()([x, x], use_casual_mask=True)


def test_every_attention_layer_is_in_the_catalog():
    classes = (Attention, AdditiveAttention, MultiHeadAttention, GroupQueryAttention)
    assert {c.__name__ for c in classes} == {row.kind for row in ROWS}
    assert layers.lookup("GroupedQueryAttention") is GroupQueryAttention

"""Losses: laws over the catalog, real Keras 3 as the judge, and what goes wrong at the door."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fkeras import losses
from fkeras.core import settings
from tests.catalog.losses import CATALOG, B, C, Case, T, embeddings, images, temporal

CLASSES = sorted({case.cls for case in CATALOG})
RTOL = 1e-5  # float32 sums in another order
ids = pytest.mark.parametrize("case", CATALOG, ids=str)


def make(case, **kwargs):
    return getattr(losses, case.cls)(**case.options, **kwargs)


def close(got, want, rtol=RTOL, atol=1e-6):
    np.testing.assert_allclose(np.asarray(got, "float64"), np.asarray(want, "float64"), rtol=rtol, atol=atol)


def judged(keras, case, **kwargs):
    return getattr(keras.losses, case.cls)(**case.options, **kwargs)


# Programs this small take longer to optimize than to run.
compiled = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


# ------------------------------------------------------------------------------ numbers, against Keras


@functools.cache
def computed(case):
    """Everything that tests ask about a row of the catalog, in one compiled program."""
    import keras

    (y, p), (spare_y, spare_p) = case.data(), case.data(5)
    ours, theirs = make(case), judged(keras, case)
    function, options = ours.function, ours.options()
    rows = np.arange(B + 3) < B
    head = np.arange(B + 3) < 2

    def program(p, spare):
        def value(p, loss=ours, y=y, **kwargs):
            return loss(y, p, **kwargs)

        padded_y, padded = np.concatenate([y, spare_y[:3]]), jnp.concatenate([p, spare[:3]])
        half = p.astype("bfloat16")
        same_rank_y = y[:, None] if y.shape == (B,) and p.shape == (B, 1) else y
        return {
            "ours": jax.value_and_grad(value)(p),
            "keras": jax.value_and_grad(value)(p, theirs),
            "our values": make(case, reduction=None)(y, p),
            "keras values": judged(keras, case, reduction=None)(y, p),
            "our function": function(y, p, **options),
            "keras function": getattr(keras.losses, function.__name__)(jnp.asarray(same_rank_y), p, **options),
            "padded": jax.value_and_grad(value)(padded, ours, padded_y, rows=rows),
            "parts": [ours.total(padded_y, padded, rows=r) for r in (rows & head, rows & ~head)],
            "nothing": ours.total(padded_y, padded, rows=~rows & rows),
            "half": function(y, half, **options),
            "of half": function(y, half.astype("float32"), **options),
            "half total": make(case, dtype="bfloat16").total(y, half),
        }

    return compiled(program)(p, spare_p)


@ids
def test_value_and_gradient_equal_keras(case, keras):
    (value, slope), (want, want_slope) = computed(case)["ours"], computed(case)["keras"]
    close(value, want)
    close(slope, want_slope)
    assert np.abs(slope).sum() > 0


@ids
def test_values_per_example_equal_keras(case, keras):
    close(computed(case)["our values"], computed(case)["keras values"])


@ids
def test_functions_equal_keras(case, keras):
    got, want = computed(case)["our function"], computed(case)["keras function"]
    assert got.shape == want.shape
    close(got, want)


@pytest.mark.parametrize("name", ["MeanSquaredError", "BinaryCrossentropy", "SparseCategoricalCrossentropy"])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none"])
def test_weights_and_masks_equal_keras_for_every_reduction(name, reduction, keras):
    rng = np.random.default_rng(3)
    options = {"ignore_class": 2} if name.startswith("Sparse") else {}
    ours = getattr(losses, name)(reduction=reduction, **options)
    theirs = getattr(keras.losses, name)(reduction=reduction, **options)
    p = rng.uniform(0.1, 0.9, (B, T, C)).astype("float32")
    y = rng.integers(0, C, (B, T)) if options else rng.integers(0, 2, (B, T, C))
    flat_p, flat_y = p[:, 0], y[:, 0]
    trials = [(flat_y, flat_p, w) for w in (None, (B,), (B, 1))] + [
        (y, p, w) for w in (None, (B, 1), (B, T), (B, T, 1))
    ]
    for true, pred, shape in trials:
        weight = None if shape is None else rng.uniform(0, 2, shape).astype("float32")
        for mask in (None, rng.integers(0, 2, pred.shape[:-1]).astype(bool)):
            if mask is not None and shape not in (None, pred.shape[:-1]):
                continue  # Keras 3 joins masks and weights of one shape only
            tensor = jnp.array(pred)
            if mask is not None:
                tensor._keras_mask = jnp.array(mask)
            want = theirs(true, tensor, sample_weight=weight)
            got = ours(true, pred, sample_weight=weight, mask=mask)
            close(np.reshape(got, np.shape(want)), want)


def test_a_scalar_loss_is_weighed_as_in_keras(keras):
    y, p = Case("Dice", images).data()
    weight = np.arange(B, dtype="float32")
    for reduction in ("sum_over_batch_size", "sum"):
        want = keras.losses.Dice(reduction=reduction)(y, p, sample_weight=weight)
        close(losses.Dice(reduction=reduction)(y, p, weight), want)


def test_weights_per_row_weigh_rows_of_temporal_values():
    y, p = np.zeros((3, 3, 2), "float32"), np.ones((3, 3, 2), "float32")
    p[0] = 2.0  # B equals T: Keras 3 would weigh time steps here
    assert float(losses.MeanSquaredError()(y, p, np.array([1.0, 0.0, 0.0]))) == pytest.approx(4 * 3 / 9)


def test_circle_against_other_embeddings_equals_keras(keras):
    (y, p), (ref_y, refs) = (Case("Circle", embeddings).data(seed) for seed in (0, 1))
    got = losses.circle(y, p, ref_y[:4], refs[:4], remove_diagonal=False)
    close(got, keras.losses.circle(y, p, ref_y[:4], refs[:4], remove_diagonal=False))


def test_ctc_of_one_frame_and_label_is_minus_log_of_its_probability():
    logits = jnp.log(jnp.array([[[0.2, 0.5, 0.3]]]))
    close(losses.ctc([[2]], logits), [-np.log(0.3)])
    # two frames, one label: blank-label, label-blank, label-label
    two = jnp.log(jnp.array([[[0.2, 0.8], [0.6, 0.4]]]))
    close(losses.ctc([[1]], two), [-np.log(0.2 * 0.4 + 0.8 * 0.6 + 0.8 * 0.4)])


def test_sparse_crossentropy_takes_classes_on_any_axis():
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, C, (B, T)), rng.normal(size=(B, C, T)).astype("float32")
    want = losses.sparse_categorical_crossentropy(y, np.moveaxis(p, 1, 2), from_logits=True)
    close(losses.sparse_categorical_crossentropy(y, p, from_logits=True, axis=1), want)
    close(losses.sparse_categorical_crossentropy(y[:, None], p, from_logits=True, axis=1), want)
    ignoring = losses.SparseCategoricalCrossentropy(from_logits=True, axis=1, ignore_class=2)
    close(ignoring(y, p), np.asarray(want)[y != 2].mean())


def test_crossentropy_chooses_by_shape():
    p = np.array([[0.2, 0.8]], "float32")
    want = [-np.log(0.8)]
    close(losses.crossentropy([1], p), want)
    close(losses.crossentropy([[1]], p), want)
    close(losses.crossentropy([[0, 1]], p), want)
    close(losses.as_loss("ce")([[1]], p[:, 1:]), want[0])


# ------------------------------------------------------------------------------------------------ laws


@ids
def test_padded_batch_with_row_mask_equals_unpadded_batch(case, keras):
    (want, want_slope), (got, slope) = computed(case)["ours"], computed(case)["padded"]
    close(got, want)
    close(slope[:B], want_slope)
    assert not np.any(slope[B:])


@ids
def test_compiled_equals_eager(case, keras):
    with jax.numpy_rank_promotion("raise"):
        close(computed(case)["ours"][0], make(case)(*case.data()))


@pytest.mark.parametrize("case", [c for c in CATALOG if c.cls not in ("Dice", "Tversky", "Circle")], ids=str)
def test_totals_of_devices_add_up_to_the_whole(case, keras):  # except where rows meet each other
    some, rest = computed(case)["parts"]
    close((some[0] + rest[0]) / (some[1] + rest[1]), computed(case)["ours"][0])


@ids
def test_a_batch_of_padding_costs_nothing(case, keras):
    total, count = computed(case)["nothing"]
    assert (float(total), float(count)) == (0, 0) and float(losses.ratio(total, count)) == 0


@ids
def test_half_precision_keeps_its_dtype_and_is_summed_in_float32(case, keras):
    found, (y, p) = computed(case), case.data()
    loss, narrow = make(case), make(case, dtype="bfloat16")
    close(found["half"], found["of half"], rtol=2**-8)  # one rounding to bfloat16 at the end
    assert found["half"].dtype == "bfloat16"
    assert [a.dtype.name for a in found["half total"]] == ["float32", "float32"]
    half = jax.ShapeDtypeStruct(p.shape, "bfloat16")
    assert jax.eval_shape(lambda p: loss(y, p), half).dtype == "float32"
    assert jax.eval_shape(lambda p: narrow(y, p), half).dtype == "bfloat16"


def test_row_mask_joins_weights_and_masks():
    y, p = (a[:4] for a in Case("MeanSquaredError", temporal).data())
    rows = np.array([True, True, True, False])
    weight, mask = np.random.default_rng(0).uniform(size=(4, T)), np.random.default_rng(1).integers(0, 2, (4, T)) == 1
    for reduction in ("sum_over_batch_size", "sum", "mean_with_sample_weight"):
        loss = losses.MeanSquaredError(reduction=reduction)
        for w in (None, weight, weight[:, :1], weight[:, 0]):
            for m in (None, mask):
                want = loss(y[:3], p[:3], None if w is None else w[:3], mask=None if m is None else m[:3])
                close(loss(y, p, w, mask=m, rows=rows), want)


SATURATED = {
    "bits": (np.array([[0.0, 1.0, 0.0, 1.0]]), np.array([[1.0, 0.0, 0.0, 1.0]])),
    "bits_logits": (np.array([[0.0, 1.0]]), np.array([[1e4, -1e4]])),
    "one_hot": (np.array([[0.0, 1.0]]), np.array([[1.0, 0.0]])),
    "one_hot_logits": (np.array([[0.0, 1.0]]), np.array([[1e4, -1e4]])),
    "labels": (np.array([1]), np.array([[1.0, 0.0]])),
    "labels_logits": (np.array([1]), np.array([[1e4, -1e4]])),
    "numbers": (np.zeros((1, 2)), np.zeros((1, 2))),
    "counts": (np.zeros((1, 2)), np.zeros((1, 2))),
    "positive": (np.zeros((1, 2)), np.zeros((1, 2))),
    "embeddings": (np.array([0, 0, 0]), np.eye(3)),
    "images": (np.zeros((1, 2, 2, 1)), np.zeros((1, 2, 2, 1))),
    "sequences": (np.array([[1, 1, 1]]), np.array([[[1e4, 0.0], [1e4, 0.0]]])),  # does not fit into two frames
}


@pytest.mark.parametrize(
    "case", [c for c in CATALOG if c.make.__name__ in SATURATED and "axis" not in c.options], ids=str
)
def test_gradients_are_finite_where_predictions_are_saturated(case):
    y, p = SATURATED[case.make.__name__]
    value, slope = compiled(jax.value_and_grad(lambda p: make(case)(y, p)))(p.astype("float32"))
    assert np.isfinite(value) and np.all(np.isfinite(slope))


def test_focal_loss_with_a_fractional_gamma_has_finite_slopes():
    y, p = np.array([[1.0, 0.0]]), np.array([[1.0, 0.0]], "float32")
    for loss in (losses.BinaryFocalCrossentropy(gamma=0.5), losses.CategoricalFocalCrossentropy(gamma=0.5)):
        assert np.all(np.isfinite(jax.grad(lambda p, loss=loss: loss(y, p))(p)))


def test_ignored_elements_take_no_part_even_when_they_are_not_finite():
    y, p = np.array([1, 255]), np.array([[0.0, 1.0], [np.nan, np.inf]], "float32")
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)
    value, slope = jax.value_and_grad(lambda p: loss(y, p))(p)
    close(value, np.log(1 + np.exp(-1)))
    assert np.all(np.isfinite(slope)) and not np.any(slope[1])


def test_masked_out_logits_do_not_spoil_sparse_crossentropy():
    p = np.array([[0.0, -np.inf, 0.0]], "float32")
    value, slope = jax.value_and_grad(lambda p: losses.SparseCategoricalCrossentropy(from_logits=True)([0], p))(p)
    close(value, np.log(2))
    assert np.all(np.isfinite(slope))


def test_large_class_numbers_survive_half_precision():
    p = np.zeros((1, 1000), "float32")
    p[0, 999] = 9.0
    assert float(losses.SparseCategoricalCrossentropy(from_logits=True, dtype="bfloat16")([999], p)) < 0.2


# ------------------------------------------------------------------------------- names, configs, forms


def test_signatures_and_names_are_those_of_keras(keras):
    for name in [*CLASSES, "Loss"]:
        ours, theirs = inspect.signature(getattr(losses, name)), inspect.signature(getattr(keras.losses, name))
        assert list(ours.parameters) == list(theirs.parameters), name
        for p in theirs.parameters.values():
            assert p.name == "name" or ours.parameters[p.name].default == p.default, (name, p.name)
        if name != "Loss":
            assert getattr(losses, name)().name == getattr(keras.losses, name)().name
            function = getattr(losses, name).function
            theirs = inspect.signature(getattr(keras.losses, function.__name__))
            assert str(inspect.signature(function)) == str(theirs)
    missing = [n for n in dir(keras.losses) if not n.startswith("_") and not hasattr(losses, n)]
    assert missing == []


def test_every_alias_of_keras_is_known(keras):
    from keras.src.losses import ALL_OBJECTS_DICT

    for name, obj in ALL_OBJECTS_DICT.items():
        if name != "Loss":
            assert losses.registry.lookup(name).__name__ == obj.__name__.replace("LossFunctionWrapper", "FunctionLoss")
    for name in ("logcosh", "huber_loss", "kullback_leibler_divergence", "cosine", "cosine_proximity"):
        assert inspect.isfunction(losses.get(name))


def test_get_returns_functions_objects_and_what_it_is_given():
    assert losses.get("mse") is losses.mean_squared_error
    assert isinstance(losses.get("MeanSquaredError"), losses.MeanSquaredError)
    assert isinstance(losses.get(losses.Huber), losses.Huber)
    assert losses.get({"class_name": "Huber", "config": {"delta": 2.0}}).delta == 2.0
    assert losses.get(max) is max and losses.get(None) is None
    with pytest.raises(ValueError, match=r"Unknown loss 'means_squared_error'. Did you mean 'mean_squared_error'"):
        losses.get("means_squared_error")


@ids
def test_config_round_trip_and_keras_reads_it(case, keras):
    loss = make(case, reduction="sum", name="mine")
    config = losses.serialize(loss)
    again = losses.deserialize(config)
    assert type(again) is type(loss) and again.get_config() == loss.get_config()
    assert settings.deserialize(config).get_config() == loss.get_config()
    if case.cls != "CategoricalGeneralizedCrossEntropy":  # real Keras does not find its own class by name
        theirs = keras.losses.deserialize(config)
        assert theirs.name == "mine" and theirs.reduction == "sum"
        read = losses.deserialize(keras.losses.serialize(theirs))
        assert type(read) is type(loss)


def test_dtype_and_old_reductions_are_settings():
    loss = losses.MeanSquaredError(dtype="bfloat16", reduction=losses.Reduction.AUTO)
    assert loss.reduction == "sum_over_batch_size" and losses.Loss(reduction=None).reduction == "none"
    assert losses.deserialize(losses.serialize(loss)).dtype == "bfloat16"
    assert "dtype" not in losses.Huber().get_config()


def test_as_loss_takes_every_form():
    assert repr(losses.as_loss("mse")) == "MeanSquaredError(name='mse')"
    assert isinstance(losses.as_loss(losses.dice), losses.Dice)
    assert isinstance(losses.as_loss(losses.Hinge), losses.Hinge)
    huber = losses.Huber()
    assert losses.as_loss(huber) is huber and losses.as_loss(None) is None

    def cubic(y_true, y_pred):
        return jnp.mean(jnp.abs(y_true - y_pred) ** 3, axis=-1)

    loss = losses.as_loss(cubic)
    assert loss.name == "cubic" and float(loss(np.zeros(2), np.full((2, 1), 2.0))) == 8.0
    config = losses.serialize(loss)["config"]
    assert config["fn"] == {
        "module": "builtins",
        "class_name": "function",
        "config": "cubic",
        "registered_name": "function",
    }
    with settings.custom_object_scope({"cubic": cubic}):
        assert losses.FunctionLoss.from_config(config).fn is cubic
        assert losses.as_loss("cubic").name == "cubic"
        keras_form = {"module": "keras.src.losses.losses", "class_name": "LossFunctionWrapper", "config": config}
        assert losses.deserialize(keras_form).fn is cubic


def test_a_keras_style_subclass_works():
    class Pinball(losses.Loss):
        def __init__(self, tau=0.5, name="pinball", **kwargs):
            super().__init__(name=name, **kwargs)
            self.tau = tau

        def call(self, y_true, y_pred):
            error = y_true - y_pred
            return jnp.maximum(self.tau * error, (self.tau - 1) * error)

    loss = Pinball(0.9, reduction="sum")
    assert float(loss(np.array([1, 2]), np.array([0.0, 0.0]))) == pytest.approx(2.7)
    assert float(loss(np.array([1, 2]), np.array([0.0, 0.0]), rows=np.array([True, False]))) == pytest.approx(0.9)
    again = Pinball.from_config(loss.get_config())
    assert (again.tau, again.name, again.reduction) == (0.9, "pinball", "sum")
    with pytest.raises(NotImplementedError, match=r"Loss must define `call\(self, y_true, y_pred\)`"):
        losses.Loss()(np.zeros(2), np.zeros(2))


def test_a_loss_over_a_tree_of_outputs():
    loss = losses.as_loss(lambda t, p: jnp.abs(t["a"] - p["a"])[:, 0] + jnp.abs(t["b"] - p["b"]))
    y, p = {"a": np.zeros(3), "b": np.zeros(3)}, {"a": np.ones((3, 1)), "b": np.full(3, 2.0)}
    assert float(loss(y, p)) == 3.0 and loss.name == "lambda"


def test_per_row_tells_scalars_from_rows():
    y = jax.ShapeDtypeStruct((C, C), "float32")  # as many rows as columns must not confuse it
    assert not losses.as_loss(lambda t, p: jnp.mean((t - p) ** 2)).per_row(y, y)
    assert not losses.as_loss(lambda t, p: jnp.mean((t - p) ** 2, axis=0)).per_row(y, y)
    assert losses.as_loss(lambda t, p: (t - p) ** 2).per_row(y, y)
    for case in CATALOG:
        true, pred = (jax.ShapeDtypeStruct(a.shape, a.dtype) for a in case.data())
        assert make(case).per_row(true, pred)


# ------------------------------------------------------------------------------------------- refusals


def test_a_scalar_loss_refuses_a_row_mask():
    loss = losses.as_loss(lambda t, p: jnp.mean((t - p) ** 2))
    with pytest.raises(ValueError, match=r"expected one value per example, shape \(2, ...\).*got values of shape \(\)"):
        loss.total(np.zeros((2, 1)), np.zeros((2, 1)), rows=np.array([True, False]))
    total, count = loss.total(np.zeros((2, 1)), np.ones((2, 1)))
    assert float(total / count) == 1.0


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match=r"MeanSquaredError\(reduction='men'\): expected one of .*Did you mean 'mean'"):
        losses.MeanSquaredError(reduction="men")
    with pytest.raises(ValueError, match=r"label_smoothing=1.5\): expected a number from 0 to 1, got 1.5"):
        losses.BinaryCrossentropy(label_smoothing=1.5)
    with pytest.raises(ValueError, match=r"axis=True\): expected an axis number, got True"):
        losses.CategoricalCrossentropy(axis=True)
    with pytest.raises(ValueError, match=r"expected q in the open interval \(0, 1\), got 1"):
        losses.CategoricalGeneralizedCrossEntropy(q=1)
    with pytest.raises(ValueError, match="reduction 'none' gives one value per example"):
        losses.MeanSquaredError(reduction=None).total(np.zeros((2, 1)), np.zeros((2, 1)))


def test_weights_that_do_not_fit_are_refused():
    y = np.zeros((B, T, C), "float32")
    with pytest.raises(ValueError, match=r"sample_weight of shape \(5,\) does not fit the values .*shape \(6, 5\)"):
        losses.MeanSquaredError()(y, y, np.ones(T))
    with pytest.raises(
        ValueError, match=r"mask of shape \(6, 5\) does not fit .* shape \(6,\): .*Give the targets a last"
    ):
        losses.BinaryCrossentropy()(y[..., 0], y[..., :1], mask=np.ones((B, T), bool))


def test_functions_refuse_shapes_that_do_not_fit():
    with pytest.raises(
        ValueError, match=r"categorical_crossentropy: expected .*\(2, 3\), got \(2,\).*sparse_categorical"
    ):
        losses.categorical_crossentropy(np.array([0, 1]), np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"binary_crossentropy: expected targets of .* \(2, 3\), got \(2, 1\)"):
        losses.binary_crossentropy(np.ones((2, 1)), np.ones((2, 3)))
    with pytest.raises(
        ValueError, match=r"expected class numbers of shape \(2,\) .* got \(2, 3\). For one-hot targets"
    ):
        losses.sparse_categorical_crossentropy(np.ones((2, 3)), np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"ctc: expected targets of shape \(B, labels\)"):
        losses.ctc([1], [[[0.0, 0.0]]])


DOOR = [
    ("mse", np.zeros((8, 1)), (None, 10), r"'mse': expected targets of .* \(B, 10\), got \(8, 1\).*only be broadcast"),
    ("mae", np.zeros((8, 5)), (8, 5, 2), r"\(B, 5, 2\), got \(8, 5\)"),
    (
        "sparse_categorical_crossentropy",
        np.array([0, 10]),
        (2, 10),
        r"from 0 to 9 .*\(B, 10\)\), got numbers from 0 to 10",
    ),
    ("sparse_categorical_crossentropy", np.array([1, 10]), (2, 10), r"Do they count from 1\? Subtract 1."),
    (
        "sparse_categorical_crossentropy",
        np.array([-1, 3]),
        (2, 10),
        r"SparseCategoricalCrossentropy\(ignore_class=-1\)",
    ),
    ("sparse_categorical_crossentropy", np.array([0.5, 1]), (2, 10), r"got 0.5, which is not a whole number"),
    ("sparse_categorical_crossentropy", np.array([np.nan]), (1, 10), r"got nan, which is not a whole number"),
    ("sparse_categorical_crossentropy", np.eye(10), (10, 10), r"one-hot targets have. Use 'categorical_crossentropy'"),
    ("sparse_categorical_crossentropy", np.zeros((2, 7), int), (2, 5, 10), r"shape \(B, 5\) .*got \(2, 7\)"),
    (
        losses.SparseCategoricalCrossentropy(ignore_class=255),
        np.array([255, 12]),
        (2, 10),
        r"got numbers from 12 to 12",
    ),
    (
        "categorical_crossentropy",
        np.array([0, 3]),
        (2, 10),
        r"Use 'sparse_categorical_crossentropy', or to_categorical\(y, 10",
    ),
    ("categorical_crossentropy", np.zeros((2, 7)), (2, 10), r"\(B, 10\), got \(2, 7\)"),
    ("categorical_hinge", np.array([[0], [3]]), (2, 10), r"or to_categorical\(y, 10\)"),
    ("crossentropy", np.array([0, 10]), (2, 10), r"from 0 to 9"),
    ("binary_crossentropy", np.zeros((4, 1)), (4, 3), r"\(B, 3\), got \(4, 1\)"),
    ("circle", np.zeros((4, 2)), (4, 3), r"\(B,\) or \(B, 1\), got \(4, 2\)"),
    ("ctc", np.array([[1, 9]]), (1, 20, 5), r"from 0 to 4"),
]


@pytest.mark.parametrize("loss, y, shape, message", DOOR, ids=lambda v: str(v)[:20])
def test_targets_that_do_not_fit_are_refused_at_the_door(loss, y, shape, message):
    with pytest.raises(ValueError, match=message):
        losses.check_targets(loss, y, shape)


def test_doubtful_targets_get_a_warning():
    with pytest.warns(UserWarning, match=r"expected targets in \[0, 1\], got values from -1 to 1. For labels -1 and 1"):
        losses.check_targets("bce", np.array([[-1.0], [1.0]]), (None, 1))
    with pytest.warns(UserWarning, match="single class .* use 'binary_crossentropy'"):
        losses.check_targets("categorical_crossentropy", np.ones((4, 1)), (None, 1))
    with pytest.raises(TypeError, match=r"expected targets that are numbers, got an array of <U3"):
        losses.check_targets("mse", np.array(["cat", "dog"]), (None, 1))


def test_good_targets_pass_the_door():
    for case in CATALOG:
        y, p = case.data()
        losses.check_targets(make(case), y, (None, *p.shape[1:]))
    ignoring = losses.SparseCategoricalCrossentropy(ignore_class=-1)
    losses.check_targets(ignoring, np.array([-1, 3]), (None, 4))
    losses.check_targets(losses.SparseCategoricalCrossentropy(axis=1), np.zeros((2, 5), int), (None, 3, 5))
    losses.check_targets("mse", np.zeros((3, 5)), (None, 5, 1))
    losses.check_targets(lambda t, p: p, np.zeros((3, 7)), (None, 2))
    losses.check_targets("ce", np.zeros((3, 1)), (None, 1))

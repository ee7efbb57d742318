"""Metrics: laws over the catalog, numbers against real Keras, the Keras way of writing one, names and messages."""

import inspect
import json
import re
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fkeras import losses, metrics
from tests.catalog.metrics import CATALOG, MEANS, B, C

# Both sum float32 in their own order; correlations and crossentropies lose a digit more.
RTOL, ATOL = 1e-5, 1e-6
IOU_WEIGHTS = "ignore:.*(weight as `float`|cut to whole numbers)"


def make(case):
    return getattr(metrics, case.cls)(**case.options)


def close(a, b, **kwargs):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, **({"rtol": RTOL, "atol": ATOL} | kwargs))


def padded(a):
    """Appends two rows of what must not be looked at."""
    bad = jnp.full((2, *a.shape[1:]), jnp.nan if jnp.issubdtype(a.dtype, jnp.floating) else 1, a.dtype)
    return jnp.concatenate([a, bad])


ROWS = np.arange(B + 2) < B


@pytest.fixture(autouse=True, scope="module")
def _compile_quickly():
    """Most of the time goes into compiling small programs that run once."""
    before = jax.config.values["jax_disable_most_optimizations"]
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


# ---------------------------------------------------------------------------- the judge and the laws


@pytest.mark.filterwarnings(IOU_WEIGHTS)
@pytest.mark.parametrize("case", CATALOG, ids=str)
def test_stream_equals_keras_also_compiled_merged_and_padded(case, keras):
    ours, theirs = make(case), getattr(keras.metrics, case.cls)(**case.options)
    batches = [np.stack(arrays) for arrays in zip(*case.batches(), strict=True)]
    y_true, y_pred, weight = (a[0] for a in batches)
    zero = ours.init(y_true.shape, y_pred.shape)
    if not getattr(theirs, "_built", True):
        theirs._build(*((y_pred.shape,) if case.cls == "AUC" else (y_true.shape, y_pred.shape)))
    start = [v.value for v in theirs.variables]

    @jax.jit
    def run(batches):  # one compiled program per case: eager Keras would compile each operation by itself
        def step(states, batch):
            y_true, y_pred, weight = batch
            masked = jnp.ones(B + 2, bool), ROWS
            return {
                "plain": ours.update(states["plain"], y_true, y_pred),
                "padded": ours.update(states["padded"], padded(y_true), padded(y_pred), rows=ROWS),
                "both": ours.update(states["both"], padded(y_true), padded(y_pred), padded(weight), *masked),
                "keras": theirs.stateless_update_state(states["keras"], y_true, y_pred),
                "keras weighted": theirs.stateless_update_state(states["keras weighted"], y_true, y_pred, weight),
            }, ours.update(zero, y_true, y_pred, weight)

        first = dict.fromkeys(("plain", "padded", "both"), zero)
        states, parts = jax.lax.scan(step, first | {"keras": start, "keras weighted": start}, batches)
        one, two, three = ({name: a[i] for name, a in parts.items()} for i in range(3))
        states["weighted"] = ours.merge(ours.merge(zero, one), ours.merge(two, three))
        return states, one, ours.result(states["plain"]), ours.result(states["weighted"])

    states, one, plain, weighted = run(batches)
    np.testing.assert_allclose(plain, theirs.stateless_result(states["keras"]), rtol=RTOL, atol=ATOL)
    np.testing.assert_allclose(weighted, theirs.stateless_result(states["keras weighted"]), rtol=RTOL, atol=ATOL)
    close(states["padded"], states["plain"])  # closes over structure and shapes too
    close(states["both"], states["weighted"])
    assert all(a.dtype == "float32" for a in states["weighted"].values())
    if case is next(c for c in CATALOG if c.cls == case.cls):  # operation by operation; once a class, as that is slow
        close(ours.update(zero, y_true, y_pred, weight), one)
        close(ours.result(states["weighted"]), weighted)


@pytest.mark.filterwarnings(IOU_WEIGHTS)
@pytest.mark.parametrize("case", CATALOG[::7], ids=str)
def test_facade_keeps_the_same_state_and_a_mask_is_a_weight(case):
    ours = make(case)
    state = None
    for y_true, y_pred, weight in case.batches(2):
        mask = weight > 1
        state = ours.init(y_true.shape, y_pred.shape) if state is None else state
        state = ours.update(state, y_true, y_pred, None, mask)
        ours.update_state(y_true.tolist(), y_pred.tolist(), mask.astype(int).tolist())
    close(ours.state, state)
    close(ours.result(), ours.result(state))


def test_mean_and_sum_equal_keras_for_all_shapes_of_weights(keras):
    rng = np.random.default_rng(0)
    pairs = [((4,), ()), ((4,), (4,)), ((4,), (4, 1)), ((4, 3), (4,)), ((4, 3), (4, 1)), ((4, 3), (4, 3)), ((), ())]
    pairs += [((4, 3, 2), (4, 3)), ((4, 3, 2), (4, 3, 1)), ((4, 3), None), ((), None)]
    for name in ("Mean", "Sum"):
        for shape, weight_shape in pairs:
            ours, theirs = getattr(metrics, name)(), getattr(keras.metrics, name)()
            for _ in range(2):
                values = rng.normal(size=shape).astype("float32")
                weight = None if weight_shape is None else rng.uniform(0, 2, weight_shape).astype("float32")
                ours.update_state(values, weight)
                theirs.update_state(values, weight)
            np.testing.assert_allclose(
                ours.result(), theirs.result(), rtol=1e-5, err_msg=f"{name} {shape} {weight_shape}"
            )


def test_names_defaults_argument_order_and_direction_equal_those_of_keras(keras):
    required = {"IoU": (2, [0]), "OneHotIoU": (2, [0]), "MeanIoU": (2,), "OneHotMeanIoU": (2,)}
    for name, theirs in vars(keras.metrics).items():
        if not inspect.isclass(theirs) or name in ("Metric", "MeanMetricWrapper"):
            continue
        ours = getattr(metrics, name)
        a, b = inspect.signature(ours).parameters, inspect.signature(theirs).parameters
        assert list(a) == list(b), name
        args = required.get(name, (0.5,) if "At" in name else ())
        ours = ours(*args)
        theirs = theirs(*args, name=ours.name)  # of a default name, Keras calls the second "auc_1"
        assert ours.name == re.sub(r"_\d+$", "", type(theirs)(*args).name)
        assert ours.direction == getattr(theirs, "_direction", None), name
        config = json.loads(json.dumps(ours.get_config()))
        assert theirs.get_config().items() <= config.items(), name
        assert type(theirs).from_config(config).get_config() == theirs.get_config()


def test_functions_equal_those_of_keras_argument_by_argument(keras):
    for name, theirs in vars(keras.metrics).items():
        if inspect.isfunction(theirs) and name not in ("get", "serialize", "deserialize"):
            ours = inspect.signature(getattr(metrics, name)).parameters
            assert [*ours] == [*inspect.signature(theirs).parameters], name


def test_compile_in_keras_picks_the_same_kind_of_accuracy(keras):
    columns = [((B,), (B, 1)), ((B, 1), (B, 1)), ((B,), (B, C)), ((B, 1), (B, C)), ((B, C), (B, C))]
    series = [((B, 4), (B, 4, C)), ((B, 4, 1), (B, 4, C)), ((B, 4, C), (B, 4, C)), ((B, 4), (B, 4, 1))]
    for y_true, y_pred in columns + series:
        compiled = keras.src.trainers.compile_utils.CompileMetrics(["accuracy", "acc", "mse", "AUC"], None)
        compiled.build(np.zeros(y_true), np.zeros(y_pred))
        theirs = [(type(m).__name__, m.name) for m in compiled.metrics]
        ours = [metrics.resolve(m, None, y_true, y_pred) for m in ("accuracy", "acc", "mse", "AUC")]
        assert [(type(m).__name__, m.name) for m in ours] == theirs, (y_true, y_pred)


@pytest.mark.parametrize("case", CATALOG, ids=str)
def test_config_and_name_make_the_same_metric_again(case):
    metric = make(case)
    config = json.loads(json.dumps(metric.get_config()))
    assert type(metric).from_config(config).get_config() == config
    assert metrics.deserialize(json.loads(json.dumps(metrics.serialize(metric)))).get_config() == config
    if metric.name != "fbeta_score" and not any(f.default is inspect.Parameter.empty for f in metric._fields.values()):
        assert type(metrics.get(metric.name)) is type(metric)


@pytest.mark.parametrize("case", [c for c in MEANS if c.make.__name__ in ("numbers", "one_hot", "bits")], ids=str)
def test_half_precision_predictions_are_computed_in_float32_and_rounded_to_dtype(case):
    (y_true, y_pred, _), *_ = case.batches()
    half = jnp.asarray(y_pred, jnp.bfloat16)
    wide = make(case)(y_true, np.asarray(half, "float32"))
    np.testing.assert_allclose(make(case)(y_true, half), wide, rtol=1e-6)
    assert getattr(metrics, case.cls)(**case.options, dtype="mixed_bfloat16")(y_true, half).dtype == jnp.bfloat16


def test_accuracy_of_class_numbers_beyond_the_reach_of_bfloat16():
    y_pred = jnp.zeros((1, 300), jnp.bfloat16).at[0, 257].set(1)
    assert metrics.SparseCategoricalAccuracy()(jnp.array([257]), y_pred) == 1
    assert metrics.SparseCategoricalAccuracy()(jnp.array([256]), y_pred) == 0


def test_reset_forgets_and_result_of_nothing_is_zero():
    metric = metrics.Mean()
    assert metric.result() == 0
    assert metric([4.0]) == 4
    metric.reset_state()
    assert metric.result() == 0 and metric([6.0]) == 6


def test_result_of_a_given_state_leaves_the_own_state_alone():
    metric = metrics.Recall()
    metric.update_state([1, 1], [0.9, 0.1])
    other = metric.update(metric.init(), jnp.array([1]), jnp.array([0.9]))
    assert metric.result(other) == 1 and metric.result() == 0.5


def test_stateless_words_of_keras_over_lists_of_variables():
    metric = metrics.Mean()
    new = metric.stateless_update_state(metric.stateless_reset_state(), jnp.array([1.0, 3.0]))
    assert metric.stateless_result(new) == 2 and metric.result() == 0
    assert [v.name for v in metric.variables] == ["total", "count"]
    with pytest.raises(ValueError, match="expected 2 arrays, got 1"):
        metric.stateless_result(new[:1])


def test_a_mask_over_time_and_a_weight_per_row_multiply():
    y = jnp.arange(6.0).reshape(2, 3, 1)
    metric = metrics.MeanSquaredError()
    state = metric.update(metric.init(), y, y * 0, jnp.array([1.0, 2.0]), jnp.array([[1, 1, 0], [1, 0, 0]], bool))
    assert metric.result(state) == (0 + 1 + 2 * 9) / (1 + 1 + 2)


def test_areas_over_many_thresholds_are_counted_in_one_pass():
    y_true, y_pred = jnp.zeros(20_000, int), jnp.linspace(0, 1, 20_000)
    text = jax.jit(lambda t, p: metrics.confusion_counts(t, p, metrics.AUC().grid())).lower(y_true, y_pred).as_text()
    assert "200x20000" not in text and "20000x200" not in text  # nothing of size thresholds x scores


# ---------------------------------------------------------------------------------------- the Keras way


class TruePositiveShare(metrics.Metric):
    def __init__(self, name="share", threshold=0.5, **kwargs):
        super().__init__(name=name, **kwargs)
        self.threshold = threshold
        self.hits = self.add_variable(shape=(), initializer="zeros", name="hits")
        self.total = self.add_weight("total", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        hit = jnp.asarray((y_true > 0) & (y_pred > self.threshold), "float32")
        if sample_weight is not None:
            hit = hit * sample_weight
        self.hits.assign_add(jnp.sum(hit))
        self.total.assign(self.total + y_pred.shape[0])

    def result(self):
        return self.hits / self.total


class RelativeError(metrics.Mean):  # the commonest: a Mean of its own values
    def update_state(self, y_true, y_pred, sample_weight=None):
        return super().update_state(jnp.abs(y_true - y_pred) / y_true, sample_weight=sample_weight)


class Both(metrics.Metric):  # metrics inside, in an attribute and in a list
    def __init__(self, name="both", **kwargs):
        super().__init__(name=name, **kwargs)
        self.mean, self.parts = metrics.Mean(), [metrics.Sum()]
        self.calls = self.add_weight(name="calls")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.mean.update_state(y_pred, sample_weight)
        self.parts[0].update_state(y_true, sample_weight)
        self.calls.assign_add(1)

    def result(self):
        return {"mean": self.mean.result(), "sum": self.parts[0].result(), "calls": self.calls.value}


class Largest(metrics.Metric):  # starts at -inf through a reset of its own
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.peak = self.add_weight(name="peak")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.peak.assign(jnp.maximum(self.peak.value, jnp.max(y_pred)))

    def reset_state(self):
        self.peak.assign(-jnp.inf)

    def merge(self, a, b):
        return {"peak": jnp.maximum(a["peak"], b["peak"])}

    def result(self):
        return self.peak  # the variable itself, as in Keras's examples


@pytest.mark.parametrize("cls", [TruePositiveShare, RelativeError, Both, Largest])
def test_keras_style_metric_is_pure_under_jit_and_scan(cls):
    rng = np.random.default_rng(0)
    y_true, y_pred = (jnp.asarray(rng.uniform(-2 if cls is Largest else 0.5, -1 if cls is Largest else 1, (3, B))),) * 2
    y_pred = y_pred * 1.1
    facade = cls()
    for t, p in zip(y_true, y_pred, strict=True):
        facade.update_state(t, p)

    metric = cls()
    start = metric.init((B,), (B,))

    @jax.jit
    def run(state):
        state, _ = jax.lax.scan(lambda s, b: (metric.update(s, *b), None), state, (y_true, y_pred))
        halves = metric.update(start, y_true[0], y_pred[0]), start
        for t, p in zip(y_true[1:], y_pred[1:], strict=True):
            halves = halves[0], metric.update(halves[1], t, p)
        return state, metric.result(state), metric.result(metric.merge(*halves))

    state, result, merged = run(start)
    close(result, facade.result())
    close(merged, facade.result())
    close(state, facade.state)
    close(metric.state, start)  # the compiled run left nothing behind
    facade.reset_state()
    close(facade.state, start)
    assert cls.from_config(metric.get_config()).get_config() == metric.get_config()


def test_keras_style_metric_takes_weights_and_says_that_it_cannot_leave_out_rows():
    metric, y = TruePositiveShare(), jnp.ones(4)
    state = metric.update(metric.init(), y, y, jnp.array([1.0, 0.5, 0.0, 0.5]))
    assert metric.result(state) == 0.5
    assert not metric.per_row(y, y)
    with pytest.raises(ValueError, match="'share' cannot leave out padded rows: its `update_state` has no `rows`"):
        metric.update(metric.init(), y, y, rows=y > 0)


def test_keras_style_update_state_with_rows_leaves_out_padding():
    class Rows(RelativeError):
        def update_state(self, y_true, y_pred, sample_weight=None, rows=None):
            metrics.Mean.update_state(self, jnp.abs(y_true - y_pred), sample_weight, rows=rows)

    metric, y = Rows(), jnp.ones(4)
    assert metric.per_row(y, y)
    state = metric.update(metric.init(), y, y * jnp.array([0, 0, 5, 5]), rows=jnp.array([1, 1, 0, 0], bool))
    assert metric.result(state) == 1


def test_variables_made_in_update_state_are_refused_when_compiled():
    class Late(metrics.Metric):
        def update_state(self, y_true, y_pred, sample_weight=None):
            self.add_weight(name="late").assign_add(1)

        def result(self):
            return 0.0

    metric = Late()
    with pytest.raises(ValueError, match=r"made variables \(late\). Make them in `__init__`"):
        metric.update(metric.init(), jnp.ones(2), jnp.ones(2))


def test_variable_refuses_another_shape_and_name_twice():
    metric = TruePositiveShare()
    with pytest.raises(ValueError, match=r"'share', variable 'hits': expected shape \(\), got \(2,\)"):
        metric.hits.assign(jnp.ones(2))
    with pytest.raises(ValueError, match="already has a variable named 'hits'"):
        metric.add_weight(name="hits")
    metric.hits.assign(3)
    assert float(metric.hits) == 3 and 1 + metric.hits == 4 and metric.hits / 2 == 1.5 and metric.hits.numpy() == 3
    assert metric.hits.shape == () and jnp.sqrt(metric.hits.value) == jnp.sqrt(3.0) and metric.hits > 2


def test_metric_that_defines_neither_says_what_to_define():
    class Empty(metrics.Metric):
        pass

    with pytest.raises(TypeError, match=r"Metric Empty cannot take a batch: it defines neither `update\(self, state"):
        Empty().update_state([1.0], [1.0])


# -------------------------------------------------------------------------------------------- functions


def scaled(y_true, y_pred, scale=2.0):
    return jnp.abs(y_true - y_pred) * scale


def test_plain_function_becomes_a_mean_named_after_it():
    metric = metrics.resolve(scaled)
    assert (metric.name, metric([1.0, 2.0], [2.0, 2.0])) == ("scaled", 1.0)
    assert metrics.resolve(losses.huber).name == "huber" and metrics.resolve("huber").name == "huber"
    assert metrics.resolve(losses.mean_squared_error).direction == "down" and metric.direction is None


def test_scalar_function_is_averaged_over_batches_and_cannot_leave_out_rows():
    def worst(y_true, y_pred):
        return jnp.max(jnp.abs(y_true - y_pred))

    metric, y = metrics.resolve(worst), jnp.arange(4.0)
    metric.update_state(y, y + 1)
    metric.update_state(y, y + 2)
    assert metric.result() == 1.5
    struct = jax.ShapeDtypeStruct((4,), "float32")
    assert not metric.per_row(struct, struct) and metrics.resolve(scaled).per_row(struct, struct)
    with pytest.raises(ValueError, match=r"'worst' cannot leave out padded rows: its function returns shape \(\)"):
        metric.update(metric.init(), y, y, rows=y > 0)


def test_function_per_class_is_not_mistaken_for_one_per_row_of_a_batch_of_that_size():
    y = jnp.ones((C, C))
    assert not metrics.resolve(lambda t, p: jnp.sum(t * p, axis=0)).per_row(y, y)


def test_wrapper_round_trips_through_a_config_that_keras_reads(keras):
    metric = metrics.MeanMetricWrapper(metrics.binary_accuracy, name="close", threshold=0.25)
    config = json.loads(json.dumps(metric.get_config()))
    again = metrics.MeanMetricWrapper.from_config(config)
    assert (again.fn, again.kwargs) == (metrics.binary_accuracy, {"threshold": 0.25})
    theirs = keras.metrics.MeanMetricWrapper.from_config(config)
    assert theirs([1, 0], [0.3, 0.1]) == again([1, 0], [0.3, 0.1]) == 1
    assert metrics.deserialize(metrics.serialize(metrics.resolve(scaled)), {"scaled": scaled}).fn is scaled
    with pytest.raises(TypeError, match="expected a function"):
        metrics.MeanMetricWrapper(3)


def test_subclass_of_the_wrapper_as_in_keras():
    class Scaled(metrics.MeanMetricWrapper):
        def __init__(self, scale=3.0, name="scaled3", dtype=None):
            super().__init__(scaled, name=name, dtype=dtype, scale=scale)

    assert Scaled()([1.0], [2.0]) == 3
    assert Scaled.from_config(Scaled(scale=5.0).get_config())([1.0], [2.0]) == 5


# ------------------------------------------------------------------------------------ names and messages


@pytest.mark.parametrize(
    ("name", "cls"),
    [("mse", "MeanSquaredError"), ("MSE", "MeanSquaredError"), ("mae", "MeanAbsoluteError"), ("acc", "Accuracy"),
     ("bce", "BinaryCrossentropy"), ("auc", "AUC"), ("AUC", "AUC"), ("mape", "MeanAbsolutePercentageError"),
     ("msle", "MeanSquaredLogarithmicError"), ("kld", "KLDivergence"), ("cosine_similarity", "CosineSimilarity"),
     ("Precision", "Precision"), ("log_cosh_error", "LogCoshError"), ("rmse", "RootMeanSquaredError")],
)  # fmt: skip
def test_names_and_short_names(name, cls):
    assert type(metrics.get(name)).__name__ == cls
    assert metrics.resolve(name, None, (B, C), (B, C)).name == name


def test_crossentropy_follows_shapes_and_takes_logits_from_the_loss():
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    metric = metrics.resolve("ce", loss, (B,), (B, C))
    assert (type(metric), metric.name, metric.from_logits) == (metrics.SparseCategoricalCrossentropy, "ce", True)
    assert not metrics.resolve("crossentropy", "mse", (B, 1), (B, 1)).from_logits


def test_messages():
    with pytest.raises(ValueError, match="Unknown metric 'acuracy'. Did you mean 'accuracy'"):
        metrics.get("acuracy")
    with pytest.raises(ValueError, match="its kind follows from the shapes"):
        metrics.resolve("accuracy")
    with pytest.raises(ValueError, match=r"Weights of shape \(3,\) do not fit values of shape \(2,\)"):
        metrics.Mean().update_state([1.0, 2.0], [1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match=r"Expected labels of the prediction's shape \(2, 3\), got \(2,\)"):
        metrics.Precision().update_state([1, 2], np.zeros((2, 3)))
    with pytest.raises(ValueError, match="class_id=3 expects predictions of more than 3 classes"):
        metrics.Precision(class_id=3).update_state(np.zeros((2, 3)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="top_k=5 expects predictions with at least 5 classes"):
        metrics.Recall(top_k=5).update_state(np.zeros((2, 3)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"thresholds=\[0.5, 1.5\]\): expected a number in \[0, 1\], got 1.5"):
        metrics.Precision(thresholds=[0.5, 1.5])
    with pytest.raises(ValueError, match="counts per class: give `init` the shape of y_pred, or set average='micro'"):
        metrics.F1Score().init()
    with pytest.raises(ValueError, match=r"expected class numbers in \[0, 2\)"):
        metrics.IoU(2, [0, 2])
    with pytest.raises(ValueError, match="only multi_label=True counts labels"):
        metrics.AUC(num_labels=3)
    with pytest.raises(ValueError, match="Did you mean 'interpolation'"):
        metrics.AUC(summation_method="interpolate")
    with pytest.raises(ValueError, match="For class numbers use 'sparse_categorical_accuracy'"):
        metrics.CategoricalAccuracy().update_state([1, 2], np.zeros((2, 3)))
    with pytest.raises(AttributeError, match="is fixed"):
        metrics.AUC().curve = "PR"
    with pytest.warns(UserWarning, match="sample weights are cut to whole numbers"):
        metrics.MeanIoU(2).update_state([0, 1], [0, 1], np.array([0.5, 1.5]))
    with pytest.warns(UserWarning, match="3 numbers are too few to adjust for 2 regressors"):
        assert metrics.R2Score(num_regressors=2)(np.array([[1.0], [4.0], [3.0]]), np.array([[2.0], [4.0], [4.0]])) < 0.6


def test_iou_with_a_float_dtype_keeps_fractions_of_weights_silently():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metric = metrics.MeanIoU(2, dtype="float32")
        metric.update_state([0, 1, 1], [0, 1, 0], np.array([0.5, 1.5, 0.5]))
    np.testing.assert_allclose(metric.result(), (0.5 / 1.0 + 1.5 / 2.0) / 2, rtol=1e-5)


def test_iou_of_classes_on_another_axis(keras):
    rng = np.random.default_rng(0)
    y_true, y_pred = np.eye(3)[rng.integers(0, 3, (2, 5))], rng.normal(size=(2, 5, 3))
    first = metrics.OneHotMeanIoU(3, axis=1)(np.moveaxis(y_true, -1, 1), np.moveaxis(y_pred, -1, 1))
    np.testing.assert_allclose(
        first, keras.metrics.OneHotMeanIoU(3)(y_true, y_pred), rtol=1e-5
    )  # which fails on axis 1


def test_every_metric_is_in_the_catalog():
    public = {n for n, c in vars(metrics).items() if inspect.isclass(c) and issubclass(c, metrics.Metric)}
    assert public - {c.cls for c in CATALOG} == {"Metric", "Mean", "Sum", "MeanMetricWrapper", "FunctionMean"}

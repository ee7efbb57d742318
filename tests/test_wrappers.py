"""Models with scikit-learn's face, judged by scikit-learn's own checks."""

import subprocess
import sys

import numpy as np
import pytest

import fkeras
from fkeras import Sequential
from fkeras.layers import Dense, Input

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4)).astype("float32")
Y = (X @ [1.0, -1.0, 0.5, 0.0]).astype("float32")
LABELS = np.array(["no", "yes"])[(Y > 0).astype(int)]


def build(X, y, loss="mse", last=None, width=6):
    model = Sequential([Input(X.shape[1:]), Dense(width, "relu"), Dense(y.shape[1] if y.ndim > 1 else 1, last)])
    model.compile(fkeras.optimizers.Adam(0.05), loss)
    return model


def test_without_scikit_learn_the_message_says_what_to_install():
    code = (
        "import sys; sys.modules['sklearn'] = None; import fkeras\n"
        "try: fkeras.wrappers.SKLearnClassifier(None)\n"
        "except ImportError as err: print(err)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.startswith("SKLearnClassifier needs scikit-learn") and "fkeras[sklearn]" in out.stdout


def test_fkeras_does_not_import_scikit_learn():
    code = "import sys, fkeras; fkeras.wrappers; print('sklearn' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def classifier(**settings):
    kwargs = {"loss": "categorical_crossentropy", "last": "softmax"}
    return fkeras.wrappers.SKLearnClassifier(build, model_kwargs=kwargs, fit_kwargs={"epochs": 15}, **settings)


def test_a_classifier_learns_labels_in_a_search():
    selection = pytest.importorskip("sklearn.model_selection")
    search = selection.GridSearchCV(classifier(), {"fit_kwargs": [{"epochs": 15}]}, cv=2).fit(X, LABELS)
    assert search.best_score_ > 0.7 and set(search.predict(X)) == {"no", "yes"}
    best = search.best_estimator_
    assert list(best.classes_) == ["no", "yes"] and len(best.history_["loss"]) == 15
    np.testing.assert_array_equal(best.classes_[best.decision_function(X).argmax(-1)], best.predict(X))
    with pytest.raises(ValueError, match="Classifier can't train when only one class is present: 'no'"):
        classifier().fit(X, np.repeat("no", 40))


def test_a_given_model_is_copied_unless_it_goes_on_warm():
    pytest.importorskip("sklearn")
    model = build(X, Y[:, None])
    before = model.get_weights()[0]
    cold = fkeras.wrappers.SKLearnRegressor(model).fit(X, Y, epochs=2)
    assert (model.get_weights()[0] == before).all() and cold.model_ is not model
    assert cold.predict(X).shape == (40,) and len(cold.history_["loss"]) == 2
    warm = fkeras.wrappers.SKLearnRegressor(model, warm_start=True).fit(X, Y)
    assert warm.model_ is model and (model.get_weights()[0] != before).any()
    with pytest.raises(ValueError, match=r"compile the model \(with a loss\) before it is given"):
        fkeras.wrappers.SKLearnRegressor(Sequential([Input((4,)), Dense(1)])).fit(X, Y)
    with pytest.raises(TypeError, match="expected a compiled model or a function"):
        fkeras.wrappers.SKLearnRegressor(3).fit(X, Y)


def test_a_transformer_hands_its_outputs_on():
    pipeline = pytest.importorskip("sklearn.pipeline")
    linear = pytest.importorskip("sklearn.linear_model")
    step = fkeras.wrappers.SKLearnTransformer(build)
    whole = pipeline.make_pipeline(step, linear.LinearRegression()).fit(X, np.stack([Y, -Y], 1))
    assert whole.predict(X).shape == (40, 2)
    assert list(step.get_feature_names_out()) == ["sklearntransformer0", "sklearntransformer1"]


@pytest.mark.filterwarnings("ignore:wrappers.scikit_learn:DeprecationWarning")
def test_keras_2_s_classifier_and_regressor():
    selection = pytest.importorskip("sklearn.model_selection")
    from sklearn.base import clone

    from fkeras.wrappers import KerasClassifier, KerasRegressor

    def create(optimizer="adam", loss="binary_crossentropy", outputs=1):
        model = Sequential([Dense(4, input_dim=4), Dense(outputs, "softmax" if outputs > 1 else "sigmoid")])
        model.compile(optimizer, loss)
        return model

    grid = {"optimizer": ["sgd"], "epochs": [2], "batch_size": [8, 20]}
    search = selection.GridSearchCV(KerasClassifier(build_fn=create, verbose=0), grid, cv=2).fit(X, LABELS)
    assert set(search.best_params_) == set(grid)
    one = KerasClassifier(create, loss="categorical_crossentropy", outputs=2, verbose=0)
    assert clone(one).get_params() == one.get_params()
    history = one.fit(X, LABELS, epochs=1)
    assert history.epoch == [0] and one.predict_proba(X).shape == (40, 2)
    assert one.score(X, LABELS) == np.mean(one.predict(X) == LABELS)
    with pytest.raises(ValueError, match="'optimiser' is no argument of .* Did you mean 'optimizer'"):
        KerasClassifier(create, optimiser="sgd")
    number = KerasRegressor(lambda: build(X, Y), epochs=1, verbose=0)
    number.fit(X, Y)
    assert number.predict(X).shape == (40,)
    assert number.score(X, Y) == pytest.approx(-number.model.evaluate(X, Y, verbose=0))


# What Keras's own estimators fail too (keras/src/wrappers/sklearn_test.py), and why.
EXPECTED = {
    "SKLearnClassifier": {
        "check_classifiers_one_label_sample_weights": "a weight of 0 is not the absence of a row",
        "check_classifiers_classes": "5 epochs do not always tell all classes apart",
        "check_classifier_data_not_an_array": "asks for the same weights from two fits",
        "check_supervised_y_2d": "asks for the same weights from two fits",
        "check_fit_idempotent": "asks for the same weights from two fits",
        "check_classifiers_train": "decision_function gives probabilities or logits",
    },
    "SKLearnRegressor": {},
    "SKLearnTransformer": {},
}


@pytest.mark.long
@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learn_s_checks_pass_where_keras_s_do(name):
    checks = pytest.importorskip("sklearn.utils.estimator_checks")
    made = {
        "SKLearnClassifier": lambda: classifier(),
        # One output of a softmax is 1: the checks that ask for the same from two fits have it so in Keras's tests too.
        "SKLearnRegressor": lambda: fkeras.wrappers.SKLearnRegressor(build, model_kwargs={"last": "softmax"}),
        "SKLearnTransformer": lambda: fkeras.wrappers.SKLearnTransformer(build, model_kwargs={"last": "softmax"}),
    }[name]()
    found = checks.check_estimator(made, expected_failed_checks=EXPECTED[name], on_fail=None, on_skip=None)
    failed = {one["check_name"]: repr(one["exception"])[:300] for one in found if one["status"] == "failed"}
    assert not failed and len(found) > 30

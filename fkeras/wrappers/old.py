"""`keras.wrappers.scikit_learn` of Keras 1 and 2: a function, and its arguments and those of `fit` in one list."""

import inspect

import numpy as np

from fkeras.core import messages
from fkeras.core.settings import nearest, some
from fkeras.models import Model
from fkeras.utils.arrays import to_categorical
from fkeras.wrappers.estimators import ClassifierMixin, Estimator, RegressorMixin

_METHODS = {"fit": Model.fit, "predict": Model.predict, "evaluate": Model.evaluate}


class _Old(Estimator):
    """What the two of them share.

    Args:
        build_fn: Function that returns a compiled model, or an object with such a `__call__`.
        sk_params: Arguments of `build_fn`, and of the model's `fit`, `predict` and `evaluate`.
    """

    def __init__(self, build_fn=None, **sk_params):
        build_fn = sk_params.pop("model", None) if build_fn is None else build_fn
        super().__init__(build_fn)
        self.build_fn, self.sk_params = build_fn, sk_params
        messages.old_spelling(f"wrappers.scikit_learn.{type(self).__name__}", f"wrappers.{self._today}")
        self.check_params(sk_params)

    def check_params(self, params):
        """Raises ValueError for an argument that neither `build_fn` nor the model's methods take."""
        known = [n for f in _METHODS.values() for n in inspect.signature(f).parameters] + [*self._builder(), "nb_epoch"]
        for name in params:
            if name not in known and "**" not in known:
                raise ValueError(
                    f"{type(self).__name__}: {name!r} is no argument of build_fn, fit, predict or evaluate."
                    f"{nearest(name, known)} Those of build_fn: {some(name, self._builder()) or 'none'}."
                )

    def _builder(self):
        """Returns the names of the arguments of `build_fn`; "**" where it takes any."""
        build = type(self).__call__ if self.build_fn is None else self.build_fn
        parameters = inspect.signature(build).parameters.values()
        return ["**" if p.kind is p.VAR_KEYWORD else p.name for p in parameters if p.name != "self"]

    def __call__(self):
        raise TypeError(f"{type(self).__name__}(build_fn=...): expected a function that returns a compiled model.")

    def get_params(self, deep=True):
        """Returns all arguments, as scikit-learn's searches ask for them."""
        return {**self.sk_params, "build_fn": self.build_fn}

    def set_params(self, **params):
        """Sets arguments; returns the estimator."""
        self.check_params({k: v for k, v in params.items() if k != "build_fn"})
        self.build_fn = params.pop("build_fn", self.build_fn)
        self.sk_params = {**self.sk_params, **params}
        return self

    def _of(self, method, kwargs=()):
        known = [*inspect.signature(_METHODS[method]).parameters, *(["nb_epoch"] if method == "fit" else [])]
        return {k: v for k, v in {**self.sk_params, **dict(kwargs)}.items() if k in known}

    def fit(self, x, y, **kwargs):
        """Builds a model and trains it; returns its `History`."""
        build, names = self.build_fn or self, self._builder()
        self.model = self.model_ = build(**{k: v for k, v in self.sk_params.items() if k in names or "**" in names})
        found = self.model.fit(np.asarray(x), self._for_model(np.asarray(y)), **self._of("fit", kwargs))
        self.history_ = found.history
        return found

    def _for_model(self, y):
        return y

    def __sklearn_is_fitted__(self):
        return hasattr(self, "model_")


class KerasClassifier(ClassifierMixin, _Old):
    """Keras 2's classifier for scikit-learn. Today: `SKLearnClassifier`.

    Args:
        build_fn: Function that returns a compiled model.
        sk_params: Its arguments, and those of `fit`, `predict` and `evaluate`: epochs=10, batch_size=32, ...

    Attributes:
        classes_: The labels, sorted.
        model: The trained model.

    Example::

        GridSearchCV(KerasClassifier(build_fn=create_model, verbose=0), {"optimizer": ["adam"], "epochs": [5]})
    """

    _today = "SKLearnClassifier"

    def _for_model(self, y):
        if y.ndim == 2 and y.shape[1] > 1:
            self.classes_ = np.arange(y.shape[1])
            return y
        self.classes_, numbers = np.unique(y.reshape(-1), return_inverse=True)
        one_hot = str(getattr(self.model.loss, "__name__", getattr(self.model.loss, "name", self.model.loss)))
        return to_categorical(numbers, len(self.classes_)) if one_hot == "categorical_crossentropy" else numbers

    def predict(self, x, **kwargs):
        """Returns the label of each row."""
        outputs = self.model.predict(np.asarray(x), **self._of("predict", kwargs))
        numbers = outputs.argmax(-1) if outputs.shape[-1] > 1 else (outputs[..., 0] > 0.5).astype(int)
        return self.classes_[numbers]

    def predict_proba(self, x, **kwargs):
        """Returns the probability of each class, one column a class."""
        outputs = self.model.predict(np.asarray(x), **self._of("predict", kwargs))
        return np.hstack([1 - outputs, outputs]) if outputs.shape[1] == 1 else outputs

    def score(self, x, y, **kwargs):
        """Returns the part of the rows whose label is right."""
        y = np.asarray(y)
        y = y.argmax(-1) if y.ndim == 2 and y.shape[1] > 1 else y.reshape(-1)
        return float(np.mean(self.predict(x, **kwargs) == y))


class KerasRegressor(RegressorMixin, _Old):
    """Keras 2's regressor for scikit-learn. Today: `SKLearnRegressor`.

    Args: See `KerasClassifier`.

    Example::

        cross_val_score(KerasRegressor(build_fn=baseline, epochs=100, batch_size=5, verbose=0), X, Y, cv=KFold(10))
    """

    _today = "SKLearnRegressor"

    def predict(self, x, **kwargs):
        """Returns the prediction for each row."""
        return np.squeeze(self.model.predict(np.asarray(x), **self._of("predict", kwargs)), axis=-1)

    def score(self, x, y, **kwargs):
        """Returns the loss with its sign turned, so that more is better, as Keras 2 did."""
        found = self.model.evaluate(np.asarray(x), np.asarray(y), **self._of("evaluate", kwargs))
        return -float(found[0] if isinstance(found, list) else found)

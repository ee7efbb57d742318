"""Keras 3's estimators: a compiled model, or a function that makes one, with scikit-learn's `fit` and `predict`."""

import copy
import warnings

import numpy as np

from fkeras.core.optional import need
from fkeras.models import Model, clone_model

try:
    from sklearn.base import (
        BaseEstimator,
        ClassifierMixin,
        ClassNamePrefixFeaturesOutMixin,
        RegressorMixin,
        TransformerMixin,
    )
except ImportError:  # said when an estimator is made
    BaseEstimator, ClassifierMixin, ClassNamePrefixFeaturesOutMixin, RegressorMixin, TransformerMixin = (
        type("Missing", (), {}) for _ in range(5)
    )


class Estimator(BaseEstimator):
    """What the three estimators share.

    Args:
        model: A compiled model, which is copied for every fit; or a function (X, y, **model_kwargs) -> compiled model.
        warm_start: A further fit goes on with the weights of the last one; a model that was given is not copied.
        model_kwargs: Further arguments of the function `model`.
        fit_kwargs: Arguments of `Model.fit`; those given to `fit` go first.

    Attributes:
        model_: The trained model.
        history_: Dict of its logs, a list for each.
    """

    def __init__(self, model, warm_start=False, model_kwargs=None, fit_kwargs=None):
        need("sklearn", type(self).__name__)
        self.model, self.warm_start = model, warm_start
        self.model_kwargs, self.fit_kwargs = model_kwargs, fit_kwargs

    def fit(self, X, y, **kwargs):
        """Trains a model on arrays; returns the estimator.

        Args:
            X, y: Arrays with a row for each example.
            kwargs: Arguments of `Model.fit`, for this call.
        """
        X, y = self._checked(X, y)
        y = self._targets(y, begin=True)
        if not (self.warm_start and hasattr(self, "model_")):
            self.model_ = self._fresh_model(X, y)
        given = {"verbose": 0, **(self.fit_kwargs or {}), **kwargs}
        self.history_ = self.model_.fit(X, y, **given).history
        return self

    def predict(self, X):
        """Returns what the trained model says of each row."""
        return self._answers(self._outputs(X))

    def _outputs(self, X):
        from sklearn.utils.validation import check_is_fitted, validate_data

        check_is_fitted(self)
        return self.model_.predict(validate_data(self, X, reset=False), verbose=0)

    def _checked(self, X, y):
        from sklearn.utils.validation import validate_data

        return validate_data(self, X, y, multi_output=True, y_numeric=self._numeric, reset=True)

    _numeric = True

    def _fresh_model(self, X, y):
        if not isinstance(self.model, Model):
            if not callable(self.model):
                raise TypeError(
                    f"{type(self).__name__}(model=...): expected a compiled model or a function (X, y) that makes one, "
                    f"got {type(self.model).__name__}."
                )
            found = self.model(X=X, y=y, **(self.model_kwargs or {}))
        elif self.warm_start:
            found = self.model
        else:
            found = clone_model(self.model)
            if self.model.compiled:
                arguments = dict(self.model._compile_arguments)
                optimizer = arguments.pop("optimizer")
                arguments = {k: copy.deepcopy(v) for k, v in arguments.items()}  # metrics keep what they have counted
                found.compile(type(optimizer).from_config(optimizer.get_config()), **arguments)
        if not found.compiled:
            raise ValueError(f"{type(self).__name__}: compile the model (with a loss) before it is given.")
        return found

    def _targets(self, y, begin=False):
        """Returns targets as the model is trained on them; `begin` learns from them how to go back."""
        y = np.asarray(y)
        if begin and y.ndim == 2 and y.shape[1] == 1:
            from sklearn.exceptions import DataConversionWarning

            warnings.warn(
                f"A column-vector y was passed when a 1d array was expected, got {y.shape}: with {(len(y),)}, "
                f"{type(self).__name__} predicts in that form too.",
                DataConversionWarning,
                stacklevel=3,
            )
        if begin:
            self._flat = y.ndim == 1
        return y.reshape(len(y), -1)

    def _answers(self, outputs):
        return outputs[:, 0] if self._flat and outputs.ndim == 2 and outputs.shape[1] == 1 else outputs

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.non_deterministic = True
        tags.target_tags.required = True
        return tags


class SKLearnClassifier(ClassifierMixin, Estimator):
    """A model as scikit-learn's classifier: labels of any kind, one-hot for the model, and back by the largest output.

    Args:
        model: A compiled model, which is copied for every fit; or a function (X, y, **model_kwargs) -> compiled model.
            The function gets `y` as one-hot rows, so that `y.shape[1]` is the number of outputs.
        warm_start: A further fit goes on with the weights of the last one; a model that was given is not copied.
        model_kwargs: Further arguments of the function `model`.
        fit_kwargs: Arguments of `Model.fit`; those given to `fit` go first.

    Attributes:
        classes_: The labels, sorted.
        model_, history_: The trained model, and its logs.

    Raises:
        ImportError: scikit-learn is not installed.

    Example::

        def build(X, y, width=16):
            model = Sequential([Input(X.shape[1:]), Dense(width, "relu"), Dense(y.shape[1], "softmax")])
            model.compile("adam", "categorical_crossentropy")
            return model

        search = GridSearchCV(SKLearnClassifier(build, fit_kwargs={"epochs": 5}), {"model_kwargs": [{"width": 8}]})
    """

    _numeric = False

    def _targets(self, y, begin=False):
        from sklearn.utils.multiclass import check_classification_targets, type_of_target

        check_classification_targets(y)
        kind = type_of_target(y, raise_unknown=True)
        if kind not in ("binary", "multiclass"):
            raise ValueError(f"Only binary and multiclass labels are understood. The type of the target is {kind}.")
        y = np.asarray(y).reshape(-1)
        if begin:
            self.classes_, numbers = np.unique(y, return_inverse=True)
            if len(self.classes_) < 2:
                raise ValueError(f"Classifier can't train when only one class is present: {str(self.classes_[0])!r}.")
        else:
            numbers = np.searchsorted(self.classes_, y)
        return np.eye(len(self.classes_), dtype="float32")[numbers]

    def _answers(self, outputs):
        return self.classes_[outputs.argmax(-1)]

    def decision_function(self, X):
        """Returns the model's outputs, one column a class."""
        return self._outputs(X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        return tags


class SKLearnRegressor(RegressorMixin, Estimator):
    """A model as scikit-learn's regressor.

    Args:
        model: A compiled model, which is copied for every fit; or a function (X, y, **model_kwargs) -> compiled model.
        warm_start: A further fit goes on with the weights of the last one; a model that was given is not copied.
        model_kwargs: Further arguments of the function `model`.
        fit_kwargs: Arguments of `Model.fit`; those given to `fit` go first.

    Attributes:
        model_, history_: The trained model, and its logs.

    Raises:
        ImportError: scikit-learn is not installed.

    Example::

        SKLearnRegressor(build, model_kwargs={"loss": "mse"}, fit_kwargs={"epochs": 5}).fit(X, y).score(X, y)
    """

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        return tags


class SKLearnTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Estimator):
    """A model as a step of a scikit-learn pipeline: trained on (X, y), it hands its outputs on.

    Args:
        model: A compiled model, which is copied for every fit; or a function (X, y, **model_kwargs) -> compiled model.
        warm_start: A further fit goes on with the weights of the last one; a model that was given is not copied.
        model_kwargs: Further arguments of the function `model`.
        fit_kwargs: Arguments of `Model.fit`; those given to `fit` go first.

    Attributes:
        model_, history_: The trained model, and its logs.

    Raises:
        ImportError: scikit-learn is not installed.

    Example::

        make_pipeline(SKLearnTransformer(autoencoder, fit_kwargs={"epochs": 5}), LogisticRegression()).fit(X, y)
    """

    def transform(self, X):
        """Returns the model's outputs for each row."""
        return self._outputs(X)

    @property
    def _n_features_out(self):
        return self.model_.output_shape[-1]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

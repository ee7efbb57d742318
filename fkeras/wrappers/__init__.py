"""Models with scikit-learn's face, for its pipelines, searches and cross-validations. It is optional itself."""

import importlib

from fkeras.core import names

__all__ = ["SKLearnClassifier", "SKLearnRegressor", "SKLearnTransformer"]
_OLD = {"KerasClassifier": "old", "KerasRegressor": "old"}  # of keras.wrappers.scikit_learn
_WHEN_ASKED = dict.fromkeys(__all__, "estimators") | _OLD


def __getattr__(name):
    """scikit-learn is imported when one of these is asked for."""
    if name not in _WHEN_ASKED:
        return names.find(__name__, name)
    return getattr(importlib.import_module(f"{__name__}.{_WHEN_ASKED[name]}"), name)


def __dir__():
    return sorted(__all__)

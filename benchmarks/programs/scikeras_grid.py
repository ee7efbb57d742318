"""SciKeras: cross-validation, a grid search in a pipeline, pickling."""

import pickle

import keras
import numpy as np
from scikeras.wrappers import KerasClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

x = np.random.default_rng(0).normal(size=(90, 4)).astype("float32")
y = (x.sum(1) > 0).astype(int)


def network(meta, hidden=8):
    layers = keras.layers
    inputs = layers.Input((meta["n_features_in_"],))
    return keras.Sequential([inputs, layers.Dense(hidden, "relu"), layers.Dense(1, "sigmoid")])


classifier = KerasClassifier(
    network, loss="binary_crossentropy", optimizer="adam", optimizer__learning_rate=0.05, epochs=5, verbose=0, hidden=8
)
assert cross_val_score(classifier, x, y, cv=3).mean() > 0.7
grid = GridSearchCV(make_pipeline(StandardScaler(), classifier), {"kerasclassifier__hidden": [4, 8]}, cv=2)
grid.fit(x, y)
fitted = classifier.fit(x, y)
assert (pickle.loads(pickle.dumps(fitted)).predict(x) == fitted.predict(x)).all()
print(grid.best_params_, grid.best_score_)

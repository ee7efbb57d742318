import numpy as np
from keras.layers import Dense
from keras.models import Sequential
from keras.wrappers.scikit_learn import KerasClassifier, KerasRegressor
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler


def create_model(optimizer="rmsprop", init="glorot_uniform"):
    model = Sequential()
    model.add(Dense(6, input_dim=4, kernel_initializer=init, activation="relu"))
    model.add(Dense(1, kernel_initializer=init, activation="sigmoid"))
    model.compile(loss="binary_crossentropy", optimizer=optimizer, metrics=["accuracy"])
    return model


def baseline():
    model = Sequential([Dense(4, input_dim=4, activation="relu"), Dense(1)])
    model.compile(loss="mean_squared_error", optimizer="adam")
    return model


X, Y = np.random.rand(24, 4), np.array([0, 1] * 12)
model = KerasClassifier(build_fn=create_model, verbose=0)
grid = GridSearchCV(estimator=model, param_grid=dict(optimizer=["adam"], epochs=[1], batch_size=[8, 12]), cv=2)
result = grid.fit(X, Y)
assert set(result.best_params_) == {"optimizer", "epochs", "batch_size"}
pipeline = Pipeline(
    [("standardize", StandardScaler()), ("mlp", KerasRegressor(build_fn=baseline, epochs=1, batch_size=8, verbose=0))]
)
assert len(cross_val_score(pipeline, X, Y.astype(float), cv=KFold(n_splits=2))) == 2
model.fit(X, Y, epochs=1)
assert model.predict_proba(X).shape == (24, 2) and set(model.predict(X).ravel()) <= {0, 1}

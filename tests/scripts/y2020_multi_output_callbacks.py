from tensorflow.keras.layers import Add, Lambda
from tensorflow.keras.callbacks import LearningRateScheduler, TerminateOnNaN, History
import tensorflow.keras.backend as K
import numpy as np
import tensorflow.keras.backend as K
from tensorflow.keras import Input, Model
from tensorflow.keras.callbacks import Callback, TerminateOnNaN
from tensorflow.keras.layers import Dense, Dot, Embedding, Flatten, concatenate

user_in, item_in = Input(shape=[1], name="user"), Input(shape=[1], name="item")
user = Flatten()(Embedding(10, 4, name="user_emb", embeddings_regularizer="l2")(user_in))
item = Flatten()(Embedding(20, 4, name="item_emb")(item_in))
rating = Dot(axes=1, name="rating")([user, item])
click = Dense(1, activation="sigmoid", name="click")(concatenate([user, item]))
model = Model([user_in, item_in], [rating, click])


def root_mean_squared_error(y_true, y_pred):
    return K.sqrt(K.mean(K.square(y_pred - y_true)))


class Cyclic(Callback):
    def on_batch_begin(self, batch, logs=None):
        K.set_value(self.model.optimizer.lr, 0.01 + 0.001 * batch)


model.compile(
    optimizer="adam",
    loss={"rating": "mse", "click": "binary_crossentropy"},
    loss_weights={"rating": 1.0, "click": 0.5},
    metrics={"rating": [root_mean_squared_error], "click": ["accuracy"]},
)
u, i = np.random.randint(0, 10, 24), np.random.randint(0, 20, 24)
h = model.fit(
    [u, i],
    {"rating": np.random.rand(24), "click": np.random.randint(0, 2, 24)},
    epochs=2,
    batch_size=8,
    verbose=0,
    callbacks=[Cyclic(), TerminateOnNaN()],
    class_weight=None,
)
assert "rating_root_mean_squared_error" in h.history and h.history["click_acc"] == h.history["click_accuracy"]
r, c = model.predict([u, i])
assert r.shape == (24, 1)

import keras
import numpy as np
from keras import layers, ops
from keras.saving import register_keras_serializable


@keras.saving.register_keras_serializable(package="my_package", name="custom_fn")
def custom_fn(x):
    return x**2


@register_keras_serializable()
class Scale(layers.Layer):
    def __init__(self, units=3, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.w = self.add_weight(
            shape=(input_shape[-1], self.units), initializer=keras.initializers.HeNormal(), trainable=True
        )
        self.b = self.add_weight(shape=(self.units,), initializer="zeros")

    def call(self, inputs):
        return ops.matmul(inputs, self.w) + self.b

    def get_config(self):
        config = super().get_config()
        config.update({"units": self.units})
        return config


class CustomCallback(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        assert list(logs) == ["loss", "mean_absolute_error"] or list(logs) == ["mean_absolute_error", "loss"], list(
            logs
        )


inputs = keras.Input((4,))
model = keras.Model(inputs, layers.Dense(1, activation=custom_fn)(Scale(5)(inputs)))
model.compile(
    optimizer=keras.optimizers.AdamW(1e-3), loss=keras.losses.Huber(), metrics=[keras.metrics.MeanAbsoluteError()]
)
X, y = np.random.rand(16, 4), np.random.rand(16, 1)
model.fit(X, y, epochs=1, verbose=0, callbacks=[CustomCallback()])
model.save("custom.keras")
again = keras.saving.load_model("custom.keras")
np.testing.assert_allclose(again.predict(X), model.predict(X), rtol=1e-5)

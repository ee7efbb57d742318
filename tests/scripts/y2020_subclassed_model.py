import numpy as np
from tensorflow import keras
from tensorflow.keras import layers
from tensorflow.keras.layers.experimental import preprocessing
from tensorflow.keras.optimizers.schedules import ExponentialDecay


class Block(layers.Layer):
    def __init__(self, units, rate=0.1, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.dense = layers.Dense(units, activation="relu")
        self.drop = layers.Dropout(rate)

    def call(self, inputs, training=None):
        return self.drop(self.dense(inputs), training=training)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class MyModel(keras.Model):
    def __init__(self, num_classes=3):
        super().__init__(name="my_model")
        self.block_1, self.block_2 = Block(8), Block(8)
        self.norm = layers.LayerNormalization()
        self.head = layers.Dense(num_classes)

    def call(self, inputs, training=False):
        x = self.block_1(inputs, training=training)
        x = self.norm(x + self.block_2(x, training=training))
        return self.head(x)


normalizer = preprocessing.Normalization()
data = np.random.rand(20, 5).astype("float32")
normalizer.adapt(data)
model = MyModel()
model.compile(
    optimizer=keras.optimizers.Adam(ExponentialDecay(0.01, 100, 0.9)),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=[keras.metrics.SparseCategoricalAccuracy(name="acc")],
)
model.fit(np.asarray(normalizer(data)), np.random.randint(0, 3, 20), epochs=2, batch_size=5, verbose=0)
assert model.predict(data).shape == (20, 3)
model.summary(print_fn=lambda line: None)
model.save_weights("w.h5")

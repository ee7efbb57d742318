"""The eight models in Keras's words: `keras` is Keras 3 or fkeras."""

from benchmarks import workloads as w


def build(keras, work):
    """Returns the uncompiled model of a workload, built for its inputs."""
    tokens = work.tokens is not None
    inputs = keras.Input(work.inputs, dtype="int32" if tokens else "float32")
    return keras.Model(inputs, globals()[f"_{work.name}"](keras, keras.layers, inputs))


def compile(keras, model, work, **settings):
    """Compiles with the loss and optimizer that all peers share."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True) if work.classes else "mse"
    model.compile(keras.optimizers.Adam(w.LEARNING_RATE, epsilon=w.EPSILON), loss, **settings)


def _mlp(keras, layers, x):
    return layers.Dense(10)(layers.Dense(128, activation="relu")(x))


def _tiny(keras, layers, x):
    return layers.Dense(1)(layers.Dense(16, activation="relu")(x))


def _cnn(keras, layers, x):
    for filters in (32, 64):
        x = layers.MaxPooling2D()(layers.Conv2D(filters, 3, activation="relu")(x))
    return layers.Dense(10)(layers.Dropout(0.5)(layers.Flatten()(x)))


def _resnet(keras, layers, x):
    def conv(x, filters, size, strides=1):
        x = layers.Conv2D(filters, size, strides=strides, padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    x = layers.ReLU()(conv(x, 16, 3))
    for filters, strides in ((16, 1), (32, 2), (64, 2)):
        h = layers.ReLU()(conv(x, filters, 3, strides))
        short = x if strides == 1 else conv(x, filters, 1, strides)
        x = layers.ReLU()(layers.Add()([conv(h, filters, 3), short]))
    return layers.Dense(10)(layers.GlobalAveragePooling2D()(x))


def _lstm(keras, layers, x):
    return layers.Dense(2)(layers.LSTM(64)(layers.Embedding(w.VOCABULARY, w.WIDTH)(x)))


def _conv1d(keras, layers, x):
    x = layers.Conv1D(128, 5, activation="relu")(layers.Embedding(w.VOCABULARY, w.WIDTH)(x))
    return layers.Dense(2)(layers.GlobalMaxPooling1D()(x))


def _gpt(keras, layers, x):
    class Positions(layers.Layer):
        def build(self, shape):
            self.positions = self.add_weight(shape=tuple(shape[1:]), initializer="random_normal", name="positions")

        def call(self, x):
            return x + self.positions

    width = w.MODEL_WIDTH
    x = Positions()(layers.Embedding(w.LETTERS, width)(x))
    for _ in range(w.BLOCKS):
        h = layers.LayerNormalization(epsilon=1e-5)(x)
        h = layers.MultiHeadAttention(w.HEADS, width // w.HEADS)(h, h, use_causal_mask=True)
        x = layers.Add()([x, layers.Dropout(w.DROPOUT)(h)])
        h = layers.LayerNormalization(epsilon=1e-5)(x)
        h = layers.Dense(width)(layers.Dense(4 * width, activation="gelu")(h))
        x = layers.Add()([x, layers.Dropout(w.DROPOUT)(h)])
    return layers.Dense(w.LETTERS)(layers.LayerNormalization(epsilon=1e-5)(x))


def _autoencoder(keras, layers, x):
    for filters in (16, 32):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2DTranspose(16, 3, strides=2, padding="same", activation="relu")(x)
    return layers.Conv2DTranspose(1, 3, strides=2, padding="same")(x)

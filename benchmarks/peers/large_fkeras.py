"""The large models in fkeras: `compile` and `fit` on arrays in memory, as they come."""

import time

import fkeras
from fkeras import Input, Model, layers
from fkeras.layers import Weight


class Peer:
    """One device, as its peers have; where there are more, `fit` would take all."""

    def __init__(self, work, x, y):
        self.work, self.x, self.y = work, x, y
        self.model = build(work)
        loss = fkeras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.model.compile(OPTIMIZERS[work.name](work), loss, distribute=False)

    def parameters(self):
        """Returns the number of trained parameters."""
        return sum(p.size for p in self.model.trainable_variables)

    def train(self, epochs):
        """Trains `epochs` after one that is not counted, which puts the data on the device; returns (seconds, loss)."""
        clock = _Clock()
        history = self.model.fit(self.x, self.y, self.work.batch, epochs + 1, verbose=0, callbacks=[clock]).history
        return clock.ends[-1] - clock.ends[0], history["loss"][-1]


class _Clock(fkeras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.ends = []

    def on_epoch_end(self, epoch, logs=None):
        self.ends.append(time.perf_counter())


def build(work):
    """Returns the uncompiled model; its layers have the names that the parameters of `large_jax` have."""
    fkeras.config.set_dtype_policy(work.policy)
    try:
        return MODELS[work.name](work)
    finally:
        fkeras.config.set_dtype_policy(None)


def _resnet(work):
    def conv(x, name, filters, size, strides=1):
        x = layers.Conv2D(filters, size, strides, "same", use_bias=False, kernel_initializer="he_normal", name=name)(x)
        return layers.BatchNormalization(-1, work.norm_momentum, work.epsilon, name=f"{name}_norm")(x)

    inputs = Input((work.image, work.image, 3))
    x = layers.ReLU()(conv(inputs, "stem", work.width, 7, 2))
    x = layers.MaxPooling2D(3, 2, "same")(x)
    for name, channels, within, stride in work.layout():
        h = layers.ReLU()(conv(x, f"{name}_a", within, 1))
        h = layers.ReLU()(conv(h, f"{name}_b", within, 3, stride))
        h = conv(h, f"{name}_c", 4 * within, 1)
        short = x if channels == 4 * within else conv(x, f"{name}_short", 4 * within, 1, stride)
        x = layers.ReLU()(layers.Add()([h, short]))
    return Model(inputs, layers.Dense(work.classes, name="head")(layers.GlobalAveragePooling2D()(x)))


class _Positions(layers.Layer):
    """Adds a trained vector to each step."""

    def declare(self, shape):
        return {"positions": Weight(shape[1:], fkeras.initializers.RandomNormal(stddev=0.02))}

    def forward(self, params, state, x, ctx):
        return x + params["positions"], state


def _gpt(work):
    def norm(name):
        return layers.LayerNormalization(epsilon=work.epsilon, name=name)

    inputs, width = Input((work.length,), dtype="int32"), work.width
    x = layers.Embedding(work.vocabulary, width, fkeras.initializers.RandomNormal(stddev=0.02), name="embed")(inputs)
    x = _Positions(name="positions")(x)
    for i in range(work.blocks):
        h = norm(f"{i}_norm1")(x)
        h = layers.MultiHeadAttention(work.heads, width // work.heads, name=f"{i}_attend")(h, h, use_causal_mask=True)
        x = layers.Add()([x, h])
        h = layers.Dense(4 * width, activation="gelu", name=f"{i}_up")(norm(f"{i}_norm2")(x))
        x = layers.Add()([x, layers.Dense(width, name=f"{i}_down")(h)])
    return Model(inputs, layers.Dense(work.vocabulary, use_bias=False, name="head")(norm("norm")(x)))


MODELS = {"resnet50": _resnet, "gpt2": _gpt}
OPTIMIZERS = {
    "resnet50": lambda w: fkeras.optimizers.SGD(w.rate, w.momentum),
    "gpt2": lambda w: fkeras.optimizers.AdamW(w.rate, w.decay, *w.betas, w.adam_epsilon),
}

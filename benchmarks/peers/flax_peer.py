"""Flax NNX with optax: `nnx.jit` of a step, cached over model and optimizer, in a plain loop."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from benchmarks import workloads as w


class Peer:
    """Rows are gathered by NumPy, a batch a step; losses are fetched at the end of an epoch."""

    settings = ({},)

    def __init__(self, work, x, y):
        self.work, self.x, self.y = work, x, y
        rngs = nnx.Rngs(0)
        self.model = MODELS[work.name](rngs)
        self.optimizer = nnx.Optimizer(self.model, optax.adam(w.LEARNING_RATE, eps=w.EPSILON), wrt=nnx.Param)
        self.model.train()
        self.step = nnx.cached_partial(nnx.jit(_step, static_argnums=4), self.model, self.optimizer)
        graph, self.state = self._evaluating()
        self.forward = jax.jit(lambda state, x: nnx.merge(graph, state)(x))

    def parameters(self):
        return sum(p.size for p in jax.tree.leaves(nnx.state(self.model, nnx.Param)))

    def train(self, epochs):
        rng = np.random.default_rng()
        for _ in range(epochs):
            losses, order = [], rng.permutation(self.work.rows)
            for rows in order.reshape(-1, self.work.batch):
                losses.append(self.step(self.x[rows], self.y[rows], bool(self.work.classes)))
        self.state = self._evaluating()[1]
        return float(np.mean(jax.device_get(losses)))

    def predict(self):
        size = w.PREDICT_BATCH
        outs = [self.forward(self.state, self.x[i : i + size]) for i in range(0, self.work.rows, size)]
        return np.concatenate([np.asarray(a) for a in outs])

    def predict_one(self, row):
        return np.asarray(self.forward(self.state, self.x[row : row + 1]))

    predict_one_direct = predict_one

    def _evaluating(self):
        model = nnx.view(self.model, raise_if_not_found=False, deterministic=True, use_running_average=True)
        return nnx.split(model)


def _step(model, optimizer, x, y, classes):
    def objective(model):
        out = model(x)
        if classes:
            return optax.softmax_cross_entropy_with_integer_labels(out, y).mean()
        return jnp.mean((out - y) ** 2)

    loss, grads = nnx.value_and_grad(objective)(model)
    optimizer.update(model, grads)
    return loss


def _mlp(rngs):
    return nnx.Sequential(nnx.Linear(784, 128, rngs=rngs), nnx.relu, nnx.Linear(128, 10, rngs=rngs))


def _tiny(rngs):
    return nnx.Sequential(nnx.Linear(10, 16, rngs=rngs), nnx.relu, nnx.Linear(16, 1, rngs=rngs))


def _cnn(rngs):
    def block(c, f):
        conv = nnx.Conv(c, f, (3, 3), padding="VALID", rngs=rngs)
        return [conv, nnx.relu, lambda x: nnx.max_pool(x, (2, 2), (2, 2))]

    flat, head = (lambda x: x.reshape(x.shape[0], -1)), nnx.Linear(1600, 10, rngs=rngs)
    return nnx.Sequential(*block(1, 32), *block(32, 64), flat, nnx.Dropout(0.5, rngs=rngs), head)


def _autoencoder(rngs):
    down = [(nnx.Conv(c, f, (3, 3), 2, rngs=rngs), nnx.relu) for c, f in ((1, 16), (16, 32))]
    up = [nnx.ConvTranspose(c, f, (3, 3), (2, 2), rngs=rngs) for c, f in ((32, 16), (16, 1))]
    return nnx.Sequential(*down[0], *down[1], up[0], nnx.relu, up[1])


class _Convolution(nnx.Module):
    def __init__(self, c, f, size, stride=1, *, rngs):
        self.conv = nnx.Conv(c, f, (size, size), stride, use_bias=False, rngs=rngs)
        self.norm = nnx.BatchNorm(f, momentum=0.99, epsilon=1e-3, rngs=rngs)

    def __call__(self, x):
        return self.norm(self.conv(x))


class _Block(nnx.Module):
    def __init__(self, c, f, stride, *, rngs):
        self.first, self.second = _Convolution(c, f, 3, stride, rngs=rngs), _Convolution(f, f, 3, rngs=rngs)
        self.short = (lambda x: x) if stride == 1 else _Convolution(c, f, 1, stride, rngs=rngs)

    def __call__(self, x):
        return nnx.relu(self.second(nnx.relu(self.first(x))) + self.short(x))


def _resnet(rngs):
    blocks = [_Block(16, 16, 1, rngs=rngs), _Block(16, 32, 2, rngs=rngs), _Block(32, 64, 2, rngs=rngs)]
    mean, head = (lambda x: x.mean((1, 2))), nnx.Linear(64, 10, rngs=rngs)
    return nnx.Sequential(_Convolution(3, 16, 3, rngs=rngs), nnx.relu, *blocks, mean, head)


class _Lstm(nnx.Module):
    def __init__(self, rngs):
        self.embed = nnx.Embed(w.VOCABULARY, w.WIDTH, rngs=rngs)
        self.rnn = nnx.RNN(nnx.OptimizedLSTMCell(w.WIDTH, 64, rngs=rngs))
        self.head = nnx.Linear(64, 2, rngs=rngs)

    def __call__(self, x):
        return self.head(self.rnn(self.embed(x))[:, -1])


class _Conv1d(nnx.Module):
    def __init__(self, rngs):
        self.embed = nnx.Embed(w.VOCABULARY, w.WIDTH, rngs=rngs)
        self.conv = nnx.Conv(w.WIDTH, 128, (5,), padding="VALID", rngs=rngs)
        self.head = nnx.Linear(128, 2, rngs=rngs)

    def __call__(self, x):
        return self.head(nnx.relu(self.conv(self.embed(x))).max(1))


class _GptBlock(nnx.Module):
    def __init__(self, rngs, width=w.MODEL_WIDTH):
        self.norm1, self.norm2 = (nnx.LayerNorm(width, epsilon=1e-5, rngs=rngs) for _ in range(2))
        self.attend = nnx.MultiHeadAttention(w.HEADS, width, decode=False, rngs=rngs)
        self.up, self.down = nnx.Linear(width, 4 * width, rngs=rngs), nnx.Linear(4 * width, width, rngs=rngs)
        self.drop1, self.drop2 = nnx.Dropout(w.DROPOUT, rngs=rngs), nnx.Dropout(w.DROPOUT, rngs=rngs)

    def __call__(self, x):
        x = x + self.drop1(self.attend(self.norm1(x), mask=nnx.make_causal_mask(x[..., 0])))
        return x + self.drop2(self.down(nnx.gelu(self.up(self.norm2(x)), approximate=False)))


class _Gpt(nnx.Module):
    def __init__(self, rngs, width=w.MODEL_WIDTH):
        self.embed = nnx.Embed(w.LETTERS, width, rngs=rngs)
        self.positions = nnx.Param(0.05 * jax.random.normal(rngs.params(), (64, width)))
        self.blocks = nnx.Sequential(*[_GptBlock(rngs) for _ in range(w.BLOCKS)])
        self.norm, self.head = nnx.LayerNorm(width, epsilon=1e-5, rngs=rngs), nnx.Linear(width, w.LETTERS, rngs=rngs)

    def __call__(self, x):
        return self.head(self.norm(self.blocks(self.embed(x) + self.positions[...])))


MODELS = {
    "mlp": _mlp, "tiny": _tiny, "cnn": _cnn, "resnet": _resnet, "lstm": _Lstm, "gpt": _Gpt, "conv1d": _Conv1d,
    "autoencoder": _autoencoder,
}  # fmt: skip

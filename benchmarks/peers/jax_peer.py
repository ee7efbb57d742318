"""JAX by hand: an epoch is one scan over shuffled batches with donated state, a prediction one compiled function."""

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import workloads as w
from benchmarks.peers.jax_kernels import OPTIONS, conv, conv_transpose, gradient_once, lstm, max_pool, same


class Peer:
    """Data lie on the device; the state is (step, params, first moments, second moments, running statistics)."""

    settings = ({},)

    def __init__(self, work, x, y):
        self.work, self.x, self.data = work, x, (jnp.asarray(x), jnp.asarray(y))
        init, forward = MODELS[work.name]
        self.key, self.rng = jax.random.key(0), np.random.default_rng(0)
        params, running = jax.jit(init)(self.key)
        zeros = jax.jit(lambda p: jax.tree.map(jnp.zeros_like, (p, p)))(params)
        self.state = (jnp.int32(0), params, *zeros, running)
        self.epoch = jax.jit(_epoch_of(forward, work), donate_argnums=0, compiler_options=OPTIONS["train"])
        self.forward = jax.jit(
            lambda params, running, x: forward(params, running, x, None)[0], compiler_options=OPTIONS["predict"]
        )

    def parameters(self):
        return sum(p.size for p in jax.tree.leaves(self.state[1]))

    def train(self, epochs):
        for _ in range(epochs):
            order = self.rng.permutation(self.work.rows).astype(np.int32)  # on the device a sort, 60 times slower
            self.state, loss = self.epoch(self.state, *self.data, order, self.key)
        return float(loss)

    def predict(self):
        size = w.PREDICT_BATCH
        outs = [self._forward(self.x[i : i + size]) for i in range(0, self.work.rows, size)]
        return np.concatenate([np.asarray(a) for a in outs])

    def predict_one(self, row):
        return np.asarray(self._forward(self.x[row : row + 1]))

    predict_one_direct = predict_one

    def _forward(self, x):
        return self.forward(self.state[1], self.state[4], x)


def _epoch_of(forward, work):
    def objective(params, running, x, y, key):
        out, running = forward(params, running, x, key)
        if work.classes:
            chosen = jnp.take_along_axis(jax.nn.log_softmax(out), y[..., None], -1)
            return -jnp.mean(chosen), running
        return jnp.mean((out - y) ** 2), running

    def epoch(state, x, y, order, key):
        def step(state, rows):
            n, params, first, second, running = state
            n = n + 1
            inner = jax.random.fold_in(key, n)
            (loss, running), grads = jax.value_and_grad(objective, has_aux=True)(
                params, running, x[rows], y[rows], inner
            )
            rate = w.LEARNING_RATE * jnp.sqrt(1 - 0.999**n) / (1 - 0.9**n)
            first = jax.tree.map(lambda m, g: m + 0.1 * (g - m), first, grads)
            second = jax.tree.map(lambda v, g: v + 0.001 * (g * g - v), second, grads)
            params = jax.tree.map(
                lambda p, m, v: p - rate * m / (jnp.sqrt(v) + w.EPSILON), params, first, second
            )  # fmt: skip
            return (n, params, first, second, running), loss

        state, losses = jax.lax.scan(step, state, order.reshape(-1, work.batch))
        return state, jnp.mean(losses)

    return epoch


# --------------------------------------------------------------------------------------------- models
# init(key) -> (params, running); forward(params, running, x, key or None) -> (out, running)


def _weights(key, *shape, fan_in=None, fan_out=None):
    fan_in = fan_in or int(np.prod(shape[:-1]))
    limit = (6 / (fan_in + (fan_out or int(np.prod(shape[:-2])) * shape[-1]))) ** 0.5
    return jax.random.uniform(key, shape, minval=-limit, maxval=limit)


def _layer(key, *shape):
    return {"w": _weights(key, *shape), "b": jnp.zeros(shape[-1])}


def _dense(p, x):
    return x @ p["w"] + p["b"]


def _drop(x, rate, key):
    if key is None:
        return x
    kept = jax.random.bits(key, x.shape, "uint16") < int((1 - rate) * 65536)
    return x * (jnp.where(kept, 1.0, 0.0) / jnp.where(kept, 1 - rate, 1.0))  # a division XLA computes only once


def _two_dense(*sizes):
    def init(key):
        a, b = jax.random.split(key)
        return [_layer(a, *sizes[:2]), _layer(b, *sizes[1:])], ()

    def forward(params, running, x, key):
        return _dense(params[1], jax.nn.relu(_dense(params[0], x))), running

    return init, forward


def _cnn_init(key):
    a, b, c = jax.random.split(key, 3)
    return {"convs": [_layer(a, 3, 3, 1, 32), _layer(b, 3, 3, 32, 64)], "head": _layer(c, 1600, 10)}, ()


def _cnn(params, running, x, key):
    x = x[:, :26, :26]  # the last pooling reads 10 of 11 cells, which depend on so many
    for p in params["convs"]:
        x = max_pool(jax.nn.relu(conv(x, p["w"], 1, ((0, 0), (0, 0))) + p["b"]))
    return _dense(params["head"], _drop(x.reshape(len(x), -1), 0.5, key)), running


_STAGES = ((16, 16, 1), (16, 32, 2), (32, 64, 2))


def _resnet_init(key):
    keys = iter(jax.random.split(key, 20))
    running = {}

    def convolution(name, size, c, f):
        running[name] = {"mean": jnp.zeros(f), "var": jnp.ones(f)}
        return {"w": _weights(next(keys), size, size, c, f), "gamma": jnp.ones(f), "beta": jnp.zeros(f)}

    params = {"stem": convolution("stem", 3, 3, 16)}
    for i, (c, f, stride) in enumerate(_STAGES):
        shapes = {f"{i}a": (3, c, f), f"{i}b": (3, f, f)} | ({} if stride == 1 else {f"{i}s": (1, c, f)})
        params |= {name: convolution(name, *shape) for name, shape in shapes.items()}
    params["head"] = _layer(next(keys), 64, 10)
    return params, running


def _resnet(params, running, x, key):
    after = {}

    def convolution(name, x, stride=1):
        p, r = params[name], running[name]
        if p["w"].shape[0] == 1:
            x = x[:, ::stride, ::stride] @ p["w"][0, 0]
        else:
            x = conv(x, p["w"], stride, same(x.shape[1:-1], p["w"].shape[:2], stride))
        if key is None:
            mean, var = r["mean"], r["var"]
        else:
            x = gradient_once(x)
            mean = jnp.mean(x, (0, 1, 2))
            var = jnp.mean(jnp.square(x), (0, 1, 2)) - mean * mean
            after[name] = {"mean": 0.99 * r["mean"] + 0.01 * mean, "var": 0.99 * r["var"] + 0.01 * var}
        scale = p["gamma"] * jax.lax.rsqrt(var + 1e-3)
        return x * scale + (p["beta"] - mean * scale)

    x = jax.nn.relu(convolution("stem", x))
    for i, (_, _, stride) in enumerate(_STAGES):
        h = jax.nn.relu(convolution(f"{i}a", x, stride))
        short = x if stride == 1 else convolution(f"{i}s", x, stride)
        x = jax.nn.relu(convolution(f"{i}b", h) + short)
    return _dense(params["head"], jnp.mean(x, (1, 2))), (running if key is None else after)


def _embedding(key, count, width):
    return jax.random.uniform(key, (count, width), minval=-0.05, maxval=0.05)


def _lstm_init(key):
    a, b, c, d = jax.random.split(key, 4)
    bias = jnp.zeros(256).at[64:128].set(1)
    cell = {"kernel": _weights(b, w.WIDTH, 256), "recurrent": _weights(c, 64, 256), "bias": bias}
    return {"embed": _embedding(a, w.VOCABULARY, w.WIDTH), "cell": cell, "head": _layer(d, 64, 2)}, ()


def _lstm(params, running, x, key):
    return _dense(params["head"], lstm(params["embed"][x.T], **params["cell"])), running


def _conv1d_init(key):
    a, b, c = jax.random.split(key, 3)
    embed = _embedding(a, w.VOCABULARY, w.WIDTH)
    return {"embed": embed, "conv": _layer(b, 5, w.WIDTH, 128), "head": _layer(c, 128, 2)}, ()


def _conv1d(params, running, x, key):
    p = params["conv"]
    x = jax.nn.relu(conv(params["embed"][x], p["w"], 1, ((0, 0),)) + p["b"])
    return _dense(params["head"], jnp.max(x, 1)), running


def _gpt_init(key):
    keys, width = iter(jax.random.split(key, 20)), w.MODEL_WIDTH

    def norm():
        return {"w": jnp.ones(width), "b": jnp.zeros(width)}

    def block():
        sizes = {"qkv": (width, 3 * width), "out": (width, width), "up": (width, 4 * width), "down": (4 * width, width)}
        return {"norm1": norm(), "norm2": norm()} | {name: _layer(next(keys), *size) for name, size in sizes.items()}

    positions = 0.05 * jax.random.normal(next(keys), (64, width))
    embed = _embedding(next(keys), w.LETTERS, width)
    head = _layer(next(keys), width, w.LETTERS)
    blocks = [block() for _ in range(w.BLOCKS)]
    return {"embed": embed, "positions": positions, "blocks": blocks, "norm": norm(), "head": head}, ()


def _norm(p, x):
    mean = jnp.mean(x, -1, keepdims=True)
    var = jnp.mean(jnp.square(x), -1, keepdims=True) - mean * mean
    return (x - mean) * jax.lax.rsqrt(var + 1e-5) * p["w"] + p["b"]


def _attend(p, x):
    B, T, C = x.shape
    heads = _dense(p["qkv"], x).reshape(B, T, 3, w.HEADS, -1).transpose(2, 0, 3, 1, 4)
    q, k, v = heads.reshape(3, B * w.HEADS, T, -1)
    scores = (q * q.shape[-1] ** -0.5) @ k.swapaxes(1, 2)
    scores = jnp.where(jnp.tril(jnp.ones((T, T), bool)), scores, -1e30)
    raised = jnp.exp(scores - jax.lax.stop_gradient(jnp.max(scores, -1, keepdims=True)))
    out = (raised @ v) / jnp.sum(raised, -1, keepdims=True)
    return _dense(p["out"], out.reshape(B, w.HEADS, T, -1).swapaxes(1, 2).reshape(B, T, C))


def _gpt(params, running, x, key):
    keys = iter([None] * 9 if key is None else jax.random.split(key, 2 * w.BLOCKS))
    x = params["embed"][x] + params["positions"]
    for p in params["blocks"]:
        x = x + _drop(_attend(p, _norm(p["norm1"], x)), w.DROPOUT, next(keys))
        h = jax.nn.gelu(_dense(p["up"], _norm(p["norm2"], x)), approximate=False)
        x = x + _drop(_dense(p["down"], h), w.DROPOUT, next(keys))
    return _dense(params["head"], _norm(params["norm"], x)), running


def _autoencoder_init(key):
    a, b, c, d = jax.random.split(key, 4)
    down = [_layer(a, 3, 3, 1, 16), _layer(b, 3, 3, 16, 32)]
    up = [{"w": _weights(k, 3, 3, f, c), "b": jnp.zeros(f)} for k, f, c in ((c, 16, 32), (d, 1, 16))]
    return {"down": down, "up": up}, ()


def _autoencoder(params, running, x, key):
    for p in params["down"]:
        x = jax.nn.relu(conv(x, p["w"], 2, same(x.shape[1:-1], (3, 3), 2)) + p["b"])
    first, last = params["up"]
    x = jax.nn.relu(conv_transpose(x, first["w"], 2) + first["b"])
    return conv_transpose(x, last["w"], 2) + last["b"], running


MODELS = {
    "mlp": _two_dense(784, 128, 10),
    "tiny": _two_dense(10, 16, 1),
    "cnn": (_cnn_init, _cnn),
    "resnet": (_resnet_init, _resnet),
    "lstm": (_lstm_init, _lstm),
    "gpt": (_gpt_init, _gpt),
    "conv1d": (_conv1d_init, _conv1d),
    "autoencoder": (_autoencoder_init, _autoencoder),
}

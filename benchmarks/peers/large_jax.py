"""The large models written by hand: one jitted step with donated state, no layer, mask or metric in between."""

import time

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.large import compute_dtype

_FORM = ("NHWC", "HWIO", "NHWC")


class Loop:
    """Data lie on the device; each step gathers its rows there. Subclasses set `state` and the jitted `step`."""

    def __init__(self, work, x, y):
        self.work, self.data, self.rng = work, (jnp.asarray(x), jnp.asarray(y)), np.random.default_rng(0)

    def train(self, epochs):
        """Trains `epochs` after one that is not counted; returns (seconds, loss)."""
        for epoch in range(epochs + 1):
            order, losses = self.rng.permutation(len(self.data[0])).astype(np.int32), []
            for rows in order.reshape(-1, self.work.batch):
                self.state, loss = self.step(self.state, *self.data, rows)
                losses.append(loss)
            mean = float(np.mean(jax.device_get(losses)))
            if epoch == 0:
                began = time.perf_counter()
        return time.perf_counter() - began, mean


class Peer(Loop):
    """The state is (step, params, slots, running statistics)."""

    def __init__(self, work, x, y):
        super().__init__(work, x, y)
        self.state = start(work, *jax.jit(lambda key: MODELS[work.name][0](work, key))(jax.random.key(0)))
        self.step = jax.jit(step_of(work), donate_argnums=0)

    def parameters(self):
        """Returns the number of trained parameters."""
        return sum(p.size for p in jax.tree.leaves(self.state[1]))


def attention_kernel(dtype):
    """Returns how `jax.nn.dot_product_attention` should compute on this device: cuDNN's kernel, or XLA."""
    device = jax.devices()[0]
    capability = str(getattr(device, "compute_capability", "0"))
    able = device.platform == "gpu" and capability.replace(".", "").isdigit() and float(capability) >= 8
    return "cudnn" if able and jnp.dtype(dtype).itemsize == 2 else "xla"


def start(work, params, running):
    """Returns the state before the first step."""
    copies = 1 if work.name == "resnet50" else 2
    slots = jax.jit(lambda p: [jax.tree.map(jnp.zeros_like, p) for _ in range(copies)])(params)
    return jnp.int32(0), params, slots, running


def step_of(work):
    """Returns the function (state, x, y, rows) -> (state, loss) that trains on these rows of the data."""
    _, forward, update = MODELS[work.name]

    def objective(params, running, x, y):
        logits, running = forward(work, params, running, x)
        logits = logits.astype(jnp.float32)
        own = lax.broadcasted_iota(jnp.int32, logits.shape, logits.ndim - 1) == y[..., None]
        return jnp.mean(jax.nn.logsumexp(logits, -1) - jnp.sum(jnp.where(own, logits, 0), -1)), running

    def step(state, x, y, rows):
        n, params, slots, running = state
        (loss, running), grads = jax.value_and_grad(objective, has_aux=True)(params, running, x[rows], y[rows])
        params, slots = update(work, n + 1, grads, params, slots)
        return (n + 1, params, slots, running), loss

    return step


def _sgd(work, n, grads, params, slots):
    m = jax.tree.map(lambda m, g: work.momentum * m - work.rate * g, slots[0], grads)
    return jax.tree.map(jnp.add, params, m), [m]


def _adamw(work, n, grads, params, slots):
    first, second = work.betas
    m = jax.tree.map(lambda m, g: first * m + (1 - first) * g, slots[0], grads)
    v = jax.tree.map(lambda v, g: second * v + (1 - second) * g * g, slots[1], grads)
    n = n.astype(jnp.float32)
    rate, shrunk = work.rate * jnp.sqrt(1 - second**n) / (1 - first**n), 1 - work.rate * work.decay
    params = jax.tree.map(lambda p, m, v: p * shrunk - rate * m / (jnp.sqrt(v) + work.adam_epsilon), params, m, v)
    return params, [m, v]


# --------------------------------------------------------------------------------------------- models
# init(work, key) -> (params, running); forward(work, params, running, x) -> (logits, running)


def _weights(key, *shape):
    return jax.random.normal(key, shape) * (2 / np.prod(shape[:-1])) ** 0.5


def _resnet_init(work, key):
    params, running, seed = {}, {}, iter(range(1000))

    def conv(name, size, c, f):
        params[name] = {"kernel": _weights(jax.random.fold_in(key, next(seed)), size, size, c, f)}
        params[f"{name}_norm"] = {"gamma": jnp.ones(f), "beta": jnp.zeros(f)}
        running[f"{name}_norm"] = {"moving_mean": jnp.zeros(f), "moving_variance": jnp.ones(f)}

    conv("stem", 7, 3, work.width)
    for name, channels, within, _ in work.layout():
        conv(f"{name}_a", 1, channels, within)
        conv(f"{name}_b", 3, within, within)
        conv(f"{name}_c", 1, within, 4 * within)
        if channels != 4 * within:
            conv(f"{name}_short", 1, channels, 4 * within)
    kernel = _weights(jax.random.fold_in(key, next(seed)), 4 * within, work.classes)
    return params | {"head": {"kernel": kernel, "bias": jnp.zeros(work.classes)}}, running


def _resnet(work, params, running, x):
    dtype, after = compute_dtype(work), {}

    def conv(x, name, stride=1):
        kernel = params[name]["kernel"].astype(dtype)
        x = lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=_FORM)
        p, r, wide = params[f"{name}_norm"], running[f"{name}_norm"], x.astype(jnp.float32)
        mean = jnp.mean(wide, (0, 1, 2))
        var = jnp.mean(wide * wide, (0, 1, 2)) - mean * mean
        new, keep = {"moving_mean": mean, "moving_variance": var}, work.norm_momentum
        after[f"{name}_norm"] = jax.tree.map(lambda a, b: keep * a + (1 - keep) * b, r, new)
        scale = p["gamma"] * lax.rsqrt(var + work.epsilon)
        return (wide * scale + (p["beta"] - mean * scale)).astype(dtype)

    x = jax.nn.relu(conv(x.astype(dtype), "stem", 2))
    lowest = np.array(-np.inf, x.dtype)[()]
    x = lax.reduce_window(x, lowest, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "SAME")
    for name, channels, within, stride in work.layout():
        h = jax.nn.relu(conv(x, f"{name}_a"))
        h = jax.nn.relu(conv(h, f"{name}_b", stride))
        h = conv(h, f"{name}_c")
        x = jax.nn.relu(h + (x if channels == 4 * within else conv(x, f"{name}_short", stride)))
    return _dense(params["head"], jnp.mean(x, (1, 2)), dtype), after


def _dense(p, x, dtype):
    y = x @ p["kernel"].astype(dtype)
    return y + p["bias"].astype(dtype) if "bias" in p else y


def _gpt_init(work, key):
    width, keys = work.width, iter(jax.random.split(key, 4 * work.blocks + 3))

    def normal(*shape):
        return 0.02 * jax.random.normal(next(keys), shape)

    def norm():
        return {"gamma": jnp.ones(width), "beta": jnp.zeros(width)}

    def dense(inputs, outputs):
        return {"kernel": normal(inputs, outputs), "bias": jnp.zeros(outputs)}

    params = {
        "embed": {"embeddings": normal(work.vocabulary, width)},
        "positions": {"positions": normal(work.length, width)},
        "norm": norm(), "head": {"kernel": normal(width, work.vocabulary)},
    }  # fmt: skip
    for i in range(work.blocks):
        params |= {
            f"{i}_norm1": norm(), f"{i}_qkv": dense(width, 3 * width), f"{i}_out": dense(width, width),
            f"{i}_norm2": norm(), f"{i}_up": dense(width, 4 * width), f"{i}_down": dense(4 * width, width),
        }  # fmt: skip
    return params, {}


def _gpt(work, params, running, x, kernel=None):
    dtype = compute_dtype(work)
    kernel = kernel or attention_kernel(dtype)

    def norm(name, x):
        x = x.astype(jnp.float32)
        d = x - jnp.mean(x, -1, keepdims=True)
        y = d * lax.rsqrt(jnp.mean(d * d, -1, keepdims=True) + work.epsilon)
        return (y * params[name]["gamma"] + params[name]["beta"]).astype(dtype)

    def attend(name, x):
        B, T, C = x.shape
        qkv = _dense(params[f"{name}_qkv"], x, dtype).reshape(B, T, 3, work.heads, -1)
        q, k, v = (qkv[:, :, i] for i in range(3))
        out = jax.nn.dot_product_attention(q, k, v, is_causal=True, implementation=kernel)
        return _dense(params[f"{name}_out"], out.reshape(B, T, C), dtype)

    x = params["embed"]["embeddings"][x].astype(dtype) + params["positions"]["positions"].astype(dtype)
    for i in range(work.blocks):
        x = x + attend(i, norm(f"{i}_norm1", x))
        h = jax.nn.gelu(_dense(params[f"{i}_up"], norm(f"{i}_norm2", x), dtype), approximate=False)
        x = x + _dense(params[f"{i}_down"], h, dtype)
    return _dense(params["head"], norm("norm", x), dtype), running


MODELS = {"resnet50": (_resnet_init, _resnet, _sgd), "gpt2": (_gpt_init, _gpt, _adamw)}


def forward_program(work):
    """Returns the forward pass as a jaxpr, attention spelled out; nothing is computed."""
    init, forward, _ = MODELS[work.name]
    params, running = jax.eval_shape(lambda key: init(work, key), jax.random.key(0))
    tokens = work.name == "gpt2"
    row = (work.length,) if tokens else (work.image, work.image, 3)
    x = jax.ShapeDtypeStruct((work.batch, *row), jnp.int32 if tokens else jnp.float32)
    how = {"kernel": "xla"} if tokens else {}
    return jax.make_jaxpr(lambda *args: forward(work, *args, **how))(params, running, x).jaxpr

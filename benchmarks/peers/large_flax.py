"""The large models in Flax NNX with optax: the split model and optimizer in one jitted step with donated state."""

from functools import partial

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from benchmarks.large import compute_dtype
from benchmarks.peers.large_jax import Loop, attention_kernel


class Peer(Loop):
    """The state is that of model and optimizer."""

    def __init__(self, work, x, y):
        super().__init__(work, x, y)
        make, optimizer = MODELS[work.name]
        model = make(work, rngs=nnx.Rngs(0))
        model.train()
        self.count = sum(p.size for p in jax.tree.leaves(nnx.state(model, nnx.Param)))
        graph, self.state = nnx.split((model, nnx.Optimizer(model, optimizer(work), wrt=nnx.Param)))

        def step(state, x, y, rows):
            model, optimizer = nnx.merge(graph, state)

            def objective(model):
                logits = model(x[rows]).astype(jnp.float32)
                return optax.softmax_cross_entropy_with_integer_labels(logits, y[rows]).mean()

            loss, grads = nnx.value_and_grad(objective)(model)
            optimizer.update(model, grads)
            return nnx.state((model, optimizer)), loss

        self.step = jax.jit(step, donate_argnums=0)

    def parameters(self):
        """Returns the number of trained parameters."""
        return self.count


class _Convolution(nnx.Module):
    def __init__(self, work, c, f, size, stride=1, *, rngs):
        dtype = compute_dtype(work)
        self.conv = nnx.Conv(c, f, (size, size), stride, use_bias=False, dtype=dtype, rngs=rngs)
        self.norm = nnx.BatchNorm(f, momentum=work.norm_momentum, epsilon=work.epsilon, dtype=dtype, rngs=rngs)

    def __call__(self, x):
        return self.norm(self.conv(x))


class _Bottleneck(nnx.Module):
    def __init__(self, work, c, within, stride, *, rngs):
        conv = partial(_Convolution, work, rngs=rngs)
        self.a, self.b = conv(c, within, 1), conv(within, within, 3, stride)
        self.c = conv(within, 4 * within, 1)
        self.short = (lambda x: x) if c == 4 * within else conv(c, 4 * within, 1, stride)

    def __call__(self, x):
        return nnx.relu(self.c(nnx.relu(self.b(nnx.relu(self.a(x))))) + self.short(x))


def _resnet(work, rngs):
    blocks = [_Bottleneck(work, c, within, stride, rngs=rngs) for _, c, within, stride in work.layout()]
    last = 4 * work.width << len(work.blocks) - 1
    return nnx.Sequential(
        _Convolution(work, 3, work.width, 7, 2, rngs=rngs), nnx.relu,
        lambda x: nnx.max_pool(x, (3, 3), (2, 2), "SAME"), *blocks, lambda x: x.mean((1, 2)),
        nnx.Linear(last, work.classes, dtype=compute_dtype(work), rngs=rngs),
    )  # fmt: skip


class _GptBlock(nnx.Module):
    def __init__(self, work, *, rngs):
        dtype, width = compute_dtype(work), work.width
        kernel = attention_kernel(dtype)

        def attend(query, key, value, is_causal=False, **_):
            return jax.nn.dot_product_attention(query, key, value, is_causal=is_causal, implementation=kernel)

        about = {"dtype": dtype, "rngs": rngs}
        self.norm1, self.norm2 = (nnx.LayerNorm(width, epsilon=work.epsilon, **about) for _ in range(2))
        self.attend = nnx.MultiHeadAttention(work.heads, width, decode=False, attention_fn=attend, **about)
        self.up, self.down = nnx.Linear(width, 4 * width, **about), nnx.Linear(4 * width, width, **about)

    def __call__(self, x):
        x = x + self.attend(self.norm1(x), is_causal=True)
        return x + self.down(nnx.gelu(self.up(self.norm2(x)), approximate=False))


class _Gpt(nnx.Module):
    def __init__(self, work, *, rngs):
        about = {"dtype": compute_dtype(work), "rngs": rngs}
        self.embed = nnx.Embed(work.vocabulary, work.width, **about)
        self.positions = nnx.Param(0.02 * jax.random.normal(rngs.params(), (work.length, work.width)))
        self.blocks = nnx.Sequential(*[_GptBlock(work, rngs=rngs) for _ in range(work.blocks)])
        self.norm = nnx.LayerNorm(work.width, epsilon=work.epsilon, **about)
        self.head = nnx.Linear(work.width, work.vocabulary, use_bias=False, **about)

    def __call__(self, x):
        x = self.embed(x)
        return self.head(self.norm(self.blocks(x + self.positions[...].astype(x.dtype))))


MODELS = {
    "resnet50": (_resnet, lambda w: optax.sgd(w.rate, w.momentum)),
    "gpt2": (_Gpt, lambda w: optax.adamw(w.rate, *w.betas, w.adam_epsilon, weight_decay=w.decay)),
}

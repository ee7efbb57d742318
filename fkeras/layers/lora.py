"""Low-rank adaptation: a layer's kernel stays as it is, and the product of two thin matrices beside it is trained."""

from typing import Any

import jax.numpy as jnp

from fkeras import initializers
from fkeras.core.settings import optional, positive_int, setting
from fkeras.layers.contract import custom
from fkeras.layers.contract.base import Layer, Weight
from fkeras.layers.contract.variables import Variable


def adapted(kernel, a, b, scale=1.0):
    """Returns kernel + scale * a @ b.

    Args:
        kernel: Float array [..., U].
        a: Float array [..., R]. b: Float array [R, U].

    Example:
        >>> adapted(jnp.zeros((1, 2)), jnp.ones((1, 1)), jnp.array([[2.0, 3.0]]), 0.5).tolist()
        [[1.0, 1.5]]

    Reference:
        Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021, arXiv:2106.09685, eq. 3.
    """
    return kernel + scale * jnp.matmul(a, b).astype(kernel.dtype)


class Lora(Layer):
    """Base of layers whose kernel can be adapted; `enable_lora`, or `lora_rank` when the layer is made.

    The kernel is then frozen; `lora_kernel_a` and `lora_kernel_b` are trained. Files hold the sum, as Keras's.
    """

    lora_rank: Any = setting(optional(positive_int), None, keyword=True)
    lora_alpha: Any = setting(optional(float), None, keyword=True)

    adapts = "kernel"  # the weight that is adapted

    @property
    def lora_enabled(self):
        """Whether there are adapters."""
        return self.lora_rank is not None

    def enable_lora(self, rank, a_initializer="he_uniform", b_initializer="zeros", lora_alpha=None):
        """Freezes the kernel and adds adapters of this rank, whose sum is what trains; once, after the layer is built.

        Args:
            rank: Rank of the adapters, at least 1.
            a_initializer, b_initializer: Of the two factors; with zeros the layer computes at first what it did before.
            lora_alpha: The adapters count lora_alpha / rank; None is `rank`.

        Raises:
            ValueError: The layer is not built, has adapters already, or has a constraint on its kernel.
        """
        self._require_built("add adapters")
        kernel = self._cell.declared[self.adapts]
        if self.lora_enabled:
            raise ValueError(f"{self.label}: it has adapters already, of rank {self.lora_rank}.")
        if kernel.constraint is not None:
            raise ValueError(f"{self.label}: adapters do not go together with a {self.adapts}_constraint.")
        for name, value in (("lora_rank", positive_int(rank)), ("lora_alpha", lora_alpha)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_starts", (initializers.get(a_initializer), initializers.get(b_initializer)))
        params, state = self.gather()
        self._cell.declared.update(self._adapters(kernel))
        for name, weight in self._adapters(kernel).items():
            params[name] = self._draw(weight, _key(self, name))
        self._cell.store(params, state)
        Variable(self, self.adapts).trainable = False

    def _adapters(self, kernel):
        a, b = self.__dict__.get("_starts", ("he_uniform", "zeros"))
        return {
            f"lora_{self.adapts}_a": Weight((*kernel.shape[:-1], self.lora_rank), a, kernel.regularizer),
            f"lora_{self.adapts}_b": Weight((self.lora_rank, kernel.shape[-1]), b, kernel.regularizer),
        }

    def with_adapters(self, weights):
        """Returns the declarations with those of the adapters, if there are any."""
        return weights | self._adapters(weights[self.adapts]) if self.lora_enabled else weights

    def _adopt(self, declared, shape=None):
        super()._adopt(declared, shape)
        if self.lora_enabled:
            self._cell.frozen.add(self.adapts)

    def forward_masked(self, params, state, x, ctx):
        params = params if custom.is_above(self) else self._merged(params)  # once, where `call` asks for its super()
        return super().forward_masked(params, state, x, ctx)

    def __getattr__(self, name):
        if name == type(self).adapts and self.__dict__.get("_cell") is not None and self.lora_enabled:
            return _Sum(self, name)  # the kernel that computes, as in Keras; its own array is among `weights`
        return super().__getattr__(name)

    def _merged(self, params):
        """Returns the parameters with the adapters added to the kernel."""
        if not self.lora_enabled:
            return params
        factors = (params[f"lora_{self.adapts}_{end}"] for end in "ab")
        scale = (self.lora_rank if self.lora_alpha is None else self.lora_alpha) / self.lora_rank
        return {**params, self.adapts: adapted(params[self.adapts], *factors, scale)}

    @property
    def saved_weights(self):
        """The variables that files hold: the kernel with the adapters added, and the others."""
        if not self.lora_enabled:
            return None
        rest = [n for n in self._cell.declared if n != self.adapts and not n.startswith("lora_")]
        return [_Sum(self, self.adapts), *(Variable(self, n) for n in rest)]

    def get_config(self):
        config = super().get_config()
        return {n: v for n, v in config.items() if v is not None or not n.startswith("lora_")}


class _Sum(Variable):
    """A kernel as files hold it: with its adapters added; what is stored leaves nothing for them to add."""

    __slots__ = ()

    def current(self):
        return self.layer._merged(self.layer.gather()[0])[self._name]

    def store(self, array):
        super().store(array)
        for end in "ab":
            adapter = Variable(self.layer, f"lora_{self._name}_{end}")
            adapter.assign(jnp.zeros(adapter.shape))


def _key(layer, name):
    from fkeras.core import host_random, rng

    return rng.fold(host_random.make_key(rng.next_seed()), name)

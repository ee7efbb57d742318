"""The part of a graph that reads text: it runs on the host, with NumPy, ahead of the part that is compiled.

JAX has no arrays of text. So a graph with text among its inputs is split once: every call on text, or that gives text,
belongs to the host part; what it makes of a batch, and the inputs that the rest reads too, are the inputs of the
compiled part, `Prepared`. The calls of a model that itself begins with text are split as that model is.
"""

import jax
import numpy as np

from fkeras.core.dtypes import STRING
from fkeras.layers.contract.shapes import is_spec
from fkeras.layers.contract.texts import Prepared
from fkeras.layers.input import InputLayer


def host_part(graph):
    """Returns the `HostPart` of a graph, or None if it has no text.

    Raises:
        ValueError: A layer that reads text cannot run ahead of the rest: it depends on what is computed there.
    """
    symbols = [s for node in graph.nodes for s in jax.tree.leaves((node.inputs, node.outputs))]
    if not any(s.dtype == STRING for s in (*symbols, *graph.input_symbols)):
        return None
    return HostPart(graph)


class HostPart:
    """What runs on the host.

    Attributes:
        calls: Nodes that run here, in order.
        inner: [(node, `HostPart`)] of calls of models that begin with text: half here, half in the compiled part.
        symbols: Symbols that the compiled part takes from here, text excepted; then come those of `inner`.
    """

    def __init__(self, graph):
        self.inputs, self.outputs, self.name = graph.input_symbols, graph.output_symbols, graph.name
        self.calls, self.inner = [], []
        made, rest = {id(s) for s in self.inputs}, []
        for node in graph.nodes:
            if isinstance(node.layer, InputLayer):
                continue
            ins, outs = jax.tree.leaves(node.inputs), jax.tree.leaves(node.outputs)
            part = getattr(getattr(node.layer, "graph", None), "host", None)
            if part is None and not any(s.dtype == STRING for s in (*ins, *outs)):
                rest += jax.tree.leaves((node.inputs, node.mask))
                continue
            self._check(node, ins, made)
            if part is not None:
                self.inner.append((node, part))
            else:
                self.calls.append(node)
                made.update(map(id, outs))
        wanted = {id(s): s for s in (*rest, *self.outputs) if id(s) in made}
        self.symbols = list(wanted.values())
        for s in self.symbols:
            if s.dtype == STRING:
                raise ValueError(
                    f"Model {self.name!r}: its output {s.name!r} is text, which a model cannot give. Leave that layer "
                    f"out and call it on the predictions: layer(model.predict(x))."
                )
        self.on_host = {id(node) for node in self.calls}

    def _check(self, node, ins, made):
        for s in ins:
            if id(s) not in made:
                raise ValueError(
                    f"Model {self.name!r}: {node.layer.label} reads or gives text, so that it runs on the host, ahead "
                    f"of the rest; but it depends on {s.node.layer.label}, which is compiled. Call it outside of it."
                )

    def run(self, arrays):
        """Computes the inputs of the compiled part, a list, from arrays and texts in order of the graph's inputs."""
        return self._through(arrays, _on_host, lambda part, xs: part.run(xs))

    def specs(self, specs):
        """Returns the specs of the inputs of the compiled part, for those of the graph's inputs."""

        def spec(node, x):
            return node.layer.compute_output_spec(x)

        return self._through(specs, spec, lambda part, xs: part.specs(xs))

    def _through(self, given, call, inside):
        values = dict(zip(map(id, self.inputs), given, strict=True))

        def of(symbols):
            return jax.tree.map(lambda s: values[id(s)], symbols, is_leaf=is_spec)

        for node in self.calls:
            out = jax.tree.leaves(call(node, of(node.inputs)), is_leaf=is_spec)
            values.update(zip(map(id, jax.tree.leaves(node.outputs)), out, strict=True))
        found = [values[id(s)] for s in self.symbols]
        for node, part in self.inner:
            found += inside(part, [values[id(s)] for s in jax.tree.leaves(node.inputs)])
        return found

    @property
    def all_symbols(self):
        """The symbols that stand for the inputs of the compiled part, those of inner models included."""
        return self.symbols + [s for _, part in self.inner for s in part.all_symbols]

    def values(self, prepared):
        """Returns ({id(symbol): array}, {id(node): `Prepared` of its model}) of the inputs of the compiled part."""
        leaves = list(prepared.leaves)
        found = dict(zip(map(id, self.symbols), leaves, strict=False))
        at, inner = len(self.symbols), {}
        for node, part in self.inner:
            count = len(part.all_symbols)
            inner[id(node)] = Prepared(leaves[at : at + count])
            at += count
        return found, inner

    def consumers(self, graph):
        """Yields (layer, i) for every layer of the compiled part that is called on its i-th input itself."""
        at = {id(s): i for i, s in enumerate(self.symbols)}
        first = len(self.symbols)
        offsets = {}
        for node, part in self.inner:
            offsets[id(node)], first = first, first + len(part.all_symbols)
        for node in graph.nodes:
            if isinstance(node.layer, InputLayer) or id(node) in self.on_host:
                continue
            if id(node) in offsets:
                yield from ((layer, offsets[id(node)] + i) for layer, i in node.layer.input_consumers())
                continue
            for s in jax.tree.leaves(node.inputs):
                if id(s) in at:
                    inner = node.layer.input_consumers() if hasattr(node.layer, "graph") else [(node.layer, 0)]
                    yield from ((layer, at[id(s)]) for layer, _ in inner)

    @property
    def version(self):
        """Changes when a layer of this part does: what it made before is of the past then."""
        own = tuple(node.layer.flags for node in self.calls)
        return own, tuple(part.version for _, part in self.inner)


def _on_host(node, x):
    """Runs a call of the host part on arrays and texts."""
    if any(isinstance(a, jax.core.Tracer) for a in jax.tree.leaves(x)):
        raise TypeError(
            f"{node.layer.label}: it reads text, so that it runs on the host, but one of its inputs is traced by JAX. "
            f"Give compiled functions model.prepared(x) in place of x."
        )
    return node.layer.host(jax.tree.map(np.asarray, x))

"""The compiled programs of a model: each compiled once, and written down when, why and at what cost."""

import datetime
import inspect
import time
from typing import Any, NamedTuple

import jax

from fkeras.compiled.cache import use_cache


class Compiled(NamedTuple):
    """One compiled program, as `Model.compile_report` lists it.

    kind: "train", "test" or "predict". why: What was new. at: Date and time. seconds: Tracing and compiling.
    flops: Of one step, as XLA counts them; None where it does not. peak_bytes: Arguments, results and scratch together.
    batches: What is done to batches: "filled up", or why not.
    """

    kind: str
    why: str
    at: datetime.datetime
    seconds: float
    flops: float | None
    peak_bytes: int | None
    batches: str = ""


class CompileReport(list):
    """A list of `Compiled`, printed as a table."""

    def __str__(self):
        if not self:
            return "No program was compiled yet."
        lines = [f"{'program':8} {'compiled at':12} {'seconds':>8} {'GFLOP/step':>11} {'peak MiB':>9}  why"]
        for c in self:
            flops = "?" if c.flops is None else f"{c.flops / 1e9:.4g}"
            peak = "?" if c.peak_bytes is None else f"{c.peak_bytes / 2**20:.1f}"
            lines.append(f"{c.kind:8} {c.at:%H:%M:%S}     {c.seconds:8.2f} {flops:>11} {peak:>9}  {c.why}")
        total = sum(c.seconds for c in self)
        notes = dict.fromkeys(f"{c.kind}: batches {c.batches}" for c in self if c.batches not in ("", "filled up"))
        return "\n".join([*lines, f"{len(self)} programs, {total:.2f} s", *notes])

    __repr__ = __str__


# On the CPU XLA hands fused operations to YNNPACK, which runs a convolution on one core unless a reduction follows, and
# copies its windows out whole: XLA's own are 1.7 to 2.5 times faster. Single matrix products it does run faster, except
# in small loops such as recurrent layers'; larger parts fused into it do not pay in training.
_YNNPACK = "xla_cpu_experimental_ynn_fusion_type"
_HANDED_OVER = {"train": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"}


def compile_for(kind, lowered):
    """Compiles a lowered program with the options that suit its kind ("train", "test" or "predict") and platform."""
    if jax.default_backend() == "cpu":
        try:
            return lowered.compile({_YNNPACK: _HANDED_OVER.get(kind, "")})
        except jax.errors.JaxRuntimeError as err:  # a version of XLA without this option compiles as it likes
            if _YNNPACK not in str(err):
                raise
    return lowered.compile()


class Programs:
    """What a model compiled, by what it depends on.

    Programs are asked for with facts {word: value}; one with the same facts is made once. Each is compiled for the
    shapes it is called on, and the report says which facts or shapes were new.
    """

    def __init__(self):
        self.made = {}
        self.log = []
        self.batching = {}  # what may be done to batches, by what that depends on

    def get(self, facts, make, batches=""):
        """Returns what `make()` returned for these facts: (whatever it likes, function).

        batches: What is done to batches, for the report.
        """
        key = tuple(facts.values())
        if key not in self.made:
            thing, function = make()
            if hasattr(function, "lower"):
                function = _Observed(function, facts, self.log, batches)
            self.made[key] = thing, function
        return self.made[key]

    @property
    def seconds(self):
        """How long tracing and compiling took so far."""
        return sum(entry.seconds for entry in self.log)

    def report(self):
        """Returns the `CompileReport` so far."""
        return CompileReport(_measured(entry) for entry in self.log)


class _Entry(NamedTuple):
    facts: dict
    shapes: dict
    why: str
    at: datetime.datetime
    seconds: float
    compiled: Any
    batches: str


class _Observed:
    """A jitted function that compiles ahead of its first call on new shapes, and notes it."""

    def __init__(self, function, facts, log, batches):
        self.function, self.facts, self.log, self.batches = function, facts, log, batches
        self.compiled = {}

    def ready(self, *args):
        """Returns the compiled function for arguments like these, on which it was called before."""
        return self.compiled[_about(args)]

    def __call__(self, *args):
        about = _about(args)
        if about in self.compiled:
            return self.compiled[about](*args)
        use_cache()
        at, start = datetime.datetime.now(), time.perf_counter()
        shapes = _shapes(dict(zip(inspect.signature(self.function).parameters, args, strict=False)))
        if jax.process_count() == 1:
            compiled = self.compiled[about] = compile_for(self.facts["kind"], self.function.lower(*args))
            seconds = time.perf_counter() - start
            out = compiled(*args)
        else:  # pmap takes each process's own rows, and XLA's program those of all: pmap itself has to call it
            compiled, self.compiled[about] = None, self.function
            out = self.function(*args)
            seconds = time.perf_counter() - start
        self.log.append(_Entry(self.facts, shapes, self._why(shapes), at, seconds, compiled, self.batches))
        return out

    def _why(self, shapes):
        """Says what sets this program apart from the last one of its kind."""
        kind = self.facts["kind"]
        before = [entry for entry in self.log if entry.facts["kind"] == kind]
        if not before:
            return "the first of its kind"
        last = before[-1]
        facts = [f"other {word}" for word, value in self.facts.items() if value != last.facts.get(word)]
        changed = [
            f"{place}: {last.shapes.get(place, 'nothing')} -> {shapes.get(place, 'nothing')}"
            for place in {**last.shapes, **shapes}
            if last.shapes.get(place) != shapes.get(place)
        ]
        more = [f"and {len(changed) - 2} more"] if len(changed) > 3 else []
        return "; ".join([*facts, *changed[: 2 if more else 3], *more]) or "compiled again"


def _about(args):
    """Returns what a compiled function depends on: the structure, shapes and dtypes of its arguments."""
    leaves, structure = jax.tree.flatten(args)
    return structure, tuple((a.shape, a.dtype) if hasattr(a, "shape") else type(a) for a in leaves)


def _shapes(arguments):
    """Returns {place: "float32[32, 4]"} of the arrays among the arguments, the model's inputs first."""
    leaves = [(p, a) for p, a in jax.tree_util.tree_flatten_with_path(arguments)[0] if hasattr(a, "shape")]
    found = {"/".join(str(getattr(k, "key", getattr(k, "idx", k))) for k in p): a for p, a in leaves}
    places = sorted(found, key=lambda place: "x" not in place.split("/"))
    return {place: f"{found[place].dtype}{list(found[place].shape)}" for place in places}


def _measured(entry):
    if entry.compiled is None:
        return Compiled(entry.facts["kind"], entry.why, entry.at, entry.seconds, None, None, entry.batches)
    flops = peak = None
    costs = entry.compiled.cost_analysis()
    costs = costs[0] if isinstance(costs, (list, tuple)) else costs  # JAX 0.4 gave one per device
    if costs and "flops" in costs:
        flops = float(costs["flops"])
    memory = entry.compiled.memory_analysis()
    if memory is not None:
        kept = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
        peak = int(kept + memory.temp_size_in_bytes)
    return Compiled(entry.facts["kind"], entry.why, entry.at, entry.seconds, flops, peak, entry.batches)

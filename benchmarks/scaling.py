"""What many devices cost: measured on virtual devices, computed for real ones. `python -m benchmarks.scaling`.

Measured: `fit` of the same model on the same batches by one program, and by DataParallel on 1, 2, 4 and 8 virtual CPU
devices in one process. They share the same cores, so what splitting costs is all that differs: more and smaller
programs, their start, and the sums between them.

Computed: the efficiency of up to 4,096 chips with the rows per chip held fixed,

    efficiency(n) = step / (step + communication(n))
    communication(n) = sum over exchanges, sum over levels of the network of
                       2 (k - 1) / k * bytes / link + latency * hops

with k members at a level (an all-reduce over a ring: Patarasuk & Yuan, 2009), the bytes of each level divided by the
members of those before it, and nothing overlapped with computation. The exchanges of a step and their bytes are read
from the step itself: every `psum` in it.
"""

import argparse
import json
import math
import os
import pathlib
import sys
import time
from typing import NamedTuple

from benchmarks import compare
from benchmarks.workloads import WORKLOADS

COUNTS = (1, 2, 4, 8)
MEASURED = ("mlp", "cnn", "resnet", "gpt")
CHIPS = (8, 64, 512, 4096)
UTILIZATION = 0.4  # of the peak, where no public throughput says how long a step takes: a good step, so a hard test
AXIS = "devices"

# ------------------------------------------------------------------------------------------- measured


def use_virtual_devices(count):
    """Gives this process virtual CPU devices; before JAX is used.

    Raises:
        RuntimeError: JAX was used already and has fewer.
    """
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + f" --xla_force_host_platform_device_count={count}"
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax

    if len(jax.devices()) < count:
        raise RuntimeError(f"benchmarks.scaling: expected {count} virtual devices, got {jax.devices()}.")


class Runner:
    """A model trained one way: `distribute` is False for one program, or a number of devices."""

    def __init__(self, work, distribute):
        import fkeras
        from benchmarks.peers import models

        fkeras.utils.set_random_seed(0)
        self.work, self.model = work, models.build(fkeras, work)
        models.compile(fkeras, self.model, work, distribute=distribute)
        self.x, self.y = work._replace(rows=work.batch * 64).data()
        self.seconds(2)  # compiles

    def seconds(self, steps):
        """Trains so many steps; returns the seconds of one, and those that all threads spent on it."""
        rows = [i % len(self.x) for i in range(steps * self.work.batch)]
        x = self.x[rows]
        y = x if self.y is self.x else self.y[rows]
        start, cpu = time.perf_counter(), time.process_time()
        self.model.fit(x, y, batch_size=self.work.batch, verbose=0)
        return (time.perf_counter() - start) / steps, (time.process_time() - cpu) / steps


def measure(work, rounds, seconds, counts=COUNTS):
    """Returns {"steps", "one": {"step_ms", "cpu_ms"} of one program, n: the same and "overhead_ms" on n devices}.

    In each round every way has its turn. Each is judged by its quickest: what else a machine does only adds. It adds
    less to the CPU time, which all threads of a step spend together.
    """
    runners = {n: Runner(work, n) for n in (False, *counts)}
    steps = max(2, int(seconds / runners[False].seconds(4)[0]))
    found = {n: [] for n in runners}
    for turn in range(rounds):
        for n in [*runners][turn % len(runners) :] + [*runners][: turn % len(runners)]:
            found[n].append(runners[n].seconds(steps))
    best = {n: {"step_ms": 1e3 * min(w for w, _ in f), "cpu_ms": 1e3 * min(c for _, c in f)} for n, f in found.items()}
    one = best.pop(False)
    for numbers in best.values():
        numbers["overhead_ms"] = numbers["step_ms"] - one["step_ms"]
    return {"steps": steps, "one": one} | best


# ------------------------------------------------------------------------------ what a step exchanges


class Step(NamedTuple):
    """A training step on one chip.

    rows: On each chip. flops, traffic: Operations, and bytes read and written, of its matrix products.
    exchanges: Bytes of each sum over the devices, gradients last. unsynchronized: The same without those of
    BatchNormalization. seconds: {machine: time of a step that was published}, where there is one.
    """

    name: str
    rows: int
    parameters: int
    flops: float
    traffic: float
    exchanges: tuple
    unsynchronized: tuple
    seconds: dict = {}


def step_of(work, rows):
    """Reads a workload's step with so many rows per chip off its program; nothing is computed or compiled."""
    import fkeras
    from benchmarks.peers import models

    model = models.build(fkeras, work)
    models.compile(fkeras, model, work)
    flops, traffic, exchanges = count(_program(model, work, rows, True))
    *_, unsynchronized = count(_program(model, work, rows, False))
    return Step(work.name, rows, model.count_params(), flops, traffic, exchanges, unsynchronized)


def _program(model, work, rows, synchronizes):
    """Returns the training step of a compiled model on one of several devices, as a jaxpr."""
    import jax
    import jax.numpy as jnp
    from jax.sharding import AbstractMesh, PartitionSpec

    from fkeras import losses
    from fkeras.training.step import Objective, Program, TrainState

    loss = losses.SparseCategoricalCrossentropy(from_logits=True) if work.classes else losses.MeanSquaredError()
    objectives = [Objective(loss, 1.0, None, ())]
    program = Program(model, model.optimizer, objectives, model.trained_paths(), AXIS, synchronizes)

    def array(shape, integer):
        return jax.ShapeDtypeStruct((rows, *shape), jnp.int32 if integer else jnp.float32)

    x = array(work.inputs, work.tokens)
    y = x if work.targets is None else array(work.targets, work.classes)
    batch = {"x": x, "y": [y], "w": [array((), False)], "rows": jax.ShapeDtypeStruct((rows,), bool)}

    def one(key, batch):
        params, state = model.init(key, x.shape)
        ts = TrainState(params, state, model.optimizer.init(params), None, key)
        return program.train_step(ts._replace(metrics=program.init_metrics(ts, batch, True)), batch)

    mesh = AbstractMesh((1,), (AXIS,))
    split = jax.shard_map(
        one, mesh=mesh, in_specs=(PartitionSpec(), PartitionSpec(AXIS)), out_specs=PartitionSpec(), check_vma=False
    )
    return jax.make_jaxpr(split)(jax.random.key(0), batch).jaxpr


def count(jaxpr):
    """Returns (flops, bytes of matrix products and convolutions, tuple of the bytes of each exchange) of a program.

    Sums over devices that do not wait for each other are one exchange: XLA's all-reduce combiner joins them.
    """
    exchanges = {}
    flops, traffic, _ = _walk(jaxpr, [0] * len(jaxpr.invars), exchanges)
    return flops, traffic, tuple(size for _, size in sorted(exchanges.items()))


def _walk(jaxpr, depths, exchanges):
    """Adds to {how many sums lie before it: bytes}; returns flops, traffic and the outputs' depths."""
    depth = dict(zip(jaxpr.invars, depths, strict=True))
    flops = traffic = 0.0
    for eqn in jaxpr.eqns:
        name, out = eqn.primitive.name, eqn.outvars
        at = [0 if hasattr(v, "val") else depth.get(v, 0) for v in eqn.invars]  # literals have a value
        deepest = [max(at, default=0)] * len(out)
        if name == "dot_general":
            (contracted, _), _ = eqn.params["dimension_numbers"]
            flops += 2.0 * out[0].aval.size * math.prod(eqn.invars[0].aval.shape[i] for i in contracted)
        elif name == "conv_general_dilated":
            kernel = eqn.invars[1].aval
            flops += 2.0 * out[0].aval.size * kernel.size / kernel.shape[eqn.params["dimension_numbers"].rhs_spec[0]]
        elif name.startswith("psum"):
            exchanges[deepest[0]] = exchanges.get(deepest[0], 0) + _bytes(eqn.invars)
            deepest = [deepest[0] + 1] * len(out)
        if name in ("dot_general", "conv_general_dilated"):
            traffic += _bytes([*eqn.invars, *out])
        times = eqn.params.get("length", 1) if name == "scan" else 1
        for inner in _programs_in(eqn.params, name):
            known = at if len(at) == len(inner.invars) else deepest[:1] * len(inner.invars)
            f, t, found = _walk(inner, known or [0] * len(inner.invars), exchanges)
            flops, traffic = flops + times * f, traffic + times * t
            deepest = found if len(found) == len(out) else [max([*found, *deepest])] * len(out)
        depth.update(zip(out, deepest, strict=True))
    return flops, traffic, [0 if hasattr(v, "val") else depth.get(v, 0) for v in jaxpr.outvars]


def _bytes(values):
    return sum(v.aval.size * v.aval.dtype.itemsize for v in values)


def _programs_in(params, name):
    values = [v for p in params.values() for v in (p if isinstance(p, (tuple, list)) else (p,))]
    found = [getattr(v, "jaxpr", v) for v in values if hasattr(v, "eqns") or hasattr(v, "jaxpr")]
    return found[-1:] if name == "cond" else found  # of branches one runs


# ------------------------------------------------------------------------------------------- computed


class Level(NamedTuple):
    """A level of a network: so many members, joined by a ring, or by a tree, which takes fewer hops.

    link: Bytes per second that a member sends. latency: Seconds of a hop.
    """

    members: int
    link: float
    latency: float
    tree: bool = False

    def seconds(self, size):
        """Time to sum `size` bytes over the members so that each has the sum."""
        k = self.members
        hops = 2 * (math.log2(k) if self.tree else k - 1)
        return 2 * (k - 1) / k * size / self.link + self.latency * hops


class Machine(NamedTuple):
    """Many chips: operations and bytes of memory per second of each; `levels(n)` is their network.

    says: Where the numbers come from.
    """

    name: str
    peak: float
    memory: float
    levels: object
    says: str

    def all_reduce(self, size, chips):
        """Time to sum `size` bytes over so many chips: level by level, each with its members' share of the last."""
        total = 0.0
        for level in self.levels(chips):
            total += level.seconds(size)
            size /= level.members
        return total

    def step_seconds(self, step):
        """Time of a step on one chip: published, or what computing or memory takes at the least.

        That is a quick step, beside which communication weighs much: real efficiencies should be higher.
        """
        return step.seconds.get(self.name, max(step.flops / (UTILIZATION * self.peak), step.traffic / self.memory))

    def efficiency(self, step, chips, synchronizes=True):
        """Share of the time that chips compute."""
        exchanges = step.exchanges if synchronizes else step.unsynchronized
        alone = self.step_seconds(step)
        return alone / (alone + sum(self.all_reduce(size, chips) for size in exchanges))


def _torus(chips):
    side = round(chips ** (1 / 3))
    return [Level(side, 100e9, 1e-6)] * 3


def _nodes(chips):
    inside = Level(min(chips, 8), 300e9, 2e-6)
    return [inside] if chips <= 8 else [inside, Level(chips // 8, 25e9, 5e-6, tree=True)]


MACHINES = (
    Machine(
        "TPU v4",
        275e12,
        1.2e12,
        _torus,
        "275 TFLOP/s in bfloat16, 1.2 TB/s, 3D torus, 50 GB/s a link and direction (Google's pages on TPU v4); two of "
        "a chip's six links are counted on at a time, and 1 us for a hop is assumed",
    ),
    Machine(
        "A100",
        312e12,
        2.0e12,
        _nodes,
        "312 TFLOP/s in bfloat16, 2 TB/s, nodes of 8, NVLink 300 GB/s each way, one 200 Gbit/s adapter per GPU "
        "(NVIDIA's pages on DGX A100); 2 us inside a node and 5 us between nodes are assumed",
    ),
)
ROWS = {  # on each chip: some hundred megabytes of activations
    "mlp": 32768, "tiny": 262_144, "cnn": 4096, "resnet": 2048, "lstm": 8192, "gpt": 1024, "conv1d": 4096,
    "autoencoder": 8192,
}  # fmt: skip


def known_steps(resnet):
    """Returns ResNet-50 and GPT-2 small from what is published; what BatchNormalization exchanges is as in `resnet`.

    ResNet-50: 25.6 million parameters, 53 BatchNormalizations of 26,560 channels together, 4.1e9 multiply-adds an
    image (He et al., 2015); 2,470 images/s on an A100 in mixed precision (NVIDIA's DeepLearningExamples, 256 a batch).
    GPT-2 small: 124.4 million parameters; 10e9 tokens in about 90 minutes on 8 A100, 2^19 tokens a step (Karpathy's
    llm.c, 2024).
    """
    norms = 9  # of the benchmark's ResNet-8
    each = (len(resnet.exchanges) - len(resnet.unsynchronized)) // norms
    small = (4 * 2 * 26_560 // 53,) * (each * 53)  # bytes: two numbers a channel
    images, sums = (*resnet.unsynchronized[:-1], 4 * 25_557_032), (*resnet.unsynchronized[:-1], 4 * 124_439_808)
    flops, tokens = 256 * 3 * 2 * 4.1e9, 2**19 // 8
    return [
        Step("ResNet-50", 256, 25_557_032, flops, 0.0, (*small, *images), images, {"A100": 256 / 2470}),
        Step("GPT-2 small", 64, 124_439_808, tokens * 6 * 124.4e6, 0.0, sums, sums, {"A100": 5400 * 2**19 / 10e9}),
    ]


def compute(works=tuple(WORKLOADS)):
    """Returns rows of numbers: one per machine and step."""
    steps = [step_of(WORKLOADS[w], ROWS[w]) for w in works]
    resnet = next((s for s in steps if s.name == "resnet"), None) or step_of(WORKLOADS["resnet"], 8)
    out = []
    for machine in MACHINES:
        for step in (*steps, *known_steps(resnet)):
            out.append(
                {
                    "machine": machine.name, "model": step.name, "rows_per_chip": step.rows,
                    "parameters": step.parameters, "megabytes": sum(step.exchanges) / 1e6,
                    "exchanges": len(step.exchanges), "step_ms": 1e3 * machine.step_seconds(step),
                    "published": machine.name in step.seconds,
                    "efficiency": {n: machine.efficiency(step, n) for n in CHIPS},
                    "unsynchronized": {n: machine.efficiency(step, n, False) for n in CHIPS},
                }
            )  # fmt: skip
    return out


# --------------------------------------------------------------------------------------------- tables


def measured_table(found):
    """Returns the measurement as a table in Markdown: milliseconds a step, and behind a slash CPU milliseconds."""
    ways = [n for n in next(iter(found.values())) if n != "steps"]
    head = ["model", "rows", *("one program" if n == "one" else f"{n} device{'s' * (n > 1)}" for n in ways)]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for name, row in found.items():
        cells = (f"{row[n]['step_ms']:.3g} / {row[n]['cpu_ms']:.3g}" for n in ways)
        lines.append([name, str(WORKLOADS[name].batch), *cells])
    return _table(lines)


def computed_table(rows, machine):
    """Returns a machine's efficiencies as a table in Markdown; behind a slash, with unsynchronized statistics."""
    head = ["model", "rows a chip", "step, ms", "MB", "exchanges", *(f"{n:,} chips" for n in CHIPS)]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for row in rows:
        if row["machine"] != machine:
            continue
        step = f"{row['step_ms']:.3g}" + "*" * row["published"]
        cells = []
        for n in CHIPS:
            with_, without = row["efficiency"][n], row["unsynchronized"][n]
            cells.append(f"{with_:.1%}" + f" / {without:.1%}" * (with_ != without))
        lines.append([row["model"], f"{row['rows_per_chip']:,}", step, f"{row['megabytes']:.3g}",
                      str(row["exchanges"]), *cells])  # fmt: skip
    return _table(lines)


def _table(lines):
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main(argv=None):
    """Measures, computes, prints tables and stores JSON; returns what it stored."""
    parser = argparse.ArgumentParser(prog="benchmarks.scaling", description=__doc__.splitlines()[0])
    parser.add_argument("--workloads", type=compare.names_among(WORKLOADS), default=list(MEASURED), help="which ones")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--out", type=pathlib.Path, default=compare.ROOT / "benchmarks" / "scaling.json")
    parser.add_argument("--quick", action="store_true", help="one short round on 1 and 2 devices: does it run?")
    parser.add_argument("--computed", action="store_true", help="compute only")
    options = parser.parse_args(argv)
    use_virtual_devices(max(COUNTS))

    results = {
        "command": " ".join(["python -m benchmarks.scaling", *(argv if argv is not None else sys.argv[1:])]),
        "machine": compare.machine(), "measured": {},
    }  # fmt: skip
    rounds, seconds, counts = (1, 0.05, (1, 2)) if options.quick else (options.rounds, 0.4, COUNTS)
    for name in [] if options.computed else options.workloads:
        results["measured"][name] = measure(WORKLOADS[name], rounds, seconds, counts)
        print(f"{name}: {json.dumps(results['measured'][name])}", flush=True)
    results["computed"] = compute(options.workloads if options.quick else tuple(WORKLOADS))
    if results["measured"]:
        print(f"\nMeasured: ms a step / CPU ms a step\n\n{measured_table(results['measured'])}")
    for machine in MACHINES:
        print(f"\nComputed: {machine.name}, {machine.says}\n\n{computed_table(results['computed'], machine.name)}")
    options.out.write_text(json.dumps(results, indent=1))
    return results


if __name__ == "__main__":
    main()

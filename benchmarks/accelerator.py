"""ResNet-50 and GPT-2 small on a GPU or TPU, in fkeras and its peers: `python -m benchmarks.accelerator`.

All peers live in this one process and take turns, so that they share the memory JAX preallocates. Ratios are taken
within a round, then their median. Model FLOPs are three times those of the forward pass (the gradients take twice as
many), all matrix products and convolutions counted off the hand-written program, attention in full:
6 * parameters + 12 * layers * width * length per token of a GPT (Chowdhery et al., "PaLM", 2022, appendix B), about
3 * 8.2e9 per image of ResNet-50.
"""

import argparse
import importlib
import json
import pathlib
import statistics
import sys
import time

import jax

from benchmarks import compare, scaling
from benchmarks.large import MODELS, SMALL
from benchmarks.peers import large_jax

PEERS = ("fkeras", "jax", "flax")
PEAKS = {  # in a device's kind: TFLOP/s of dense bfloat16 products (NVIDIA's and Google's pages); the first that fits
    "H200": 989, "H100 PCIe": 756, "H100": 989, "A100": 312, "A10G": 70, "L40S": 362, "L4": 121,
    "T4": 65,  # in float16: it has no products in bfloat16
    "TPU v6": 918, "TPU v5 lite": 197, "TPU v5e": 197, "TPU v5": 459, "TPU v4": 275,
}  # fmt: skip


def peak_of(kind):
    """Returns the FLOP/s that a kind of device could do at most, or None where that is not known.

    Example:
        >>> peak_of("NVIDIA A100-SXM4-80GB"), peak_of("cpu")
        (312000000000000.0, None)
    """
    return next((1e12 * peak for name, peak in PEAKS.items() if name in kind), None)


def model_flops(work):
    """Returns the FLOPs of a training step: three times those of the forward pass."""
    return 3 * scaling.count(large_jax.forward_program(work))[0]


# ---------------------------------------------------------------------------------------------- a race


def race(work, peers, rounds, seconds, say=print):
    """Compares the peers on one model; returns {peer: its numbers}.

    Raises:
        ValueError: The peers' models have not the same number of parameters.
    """
    data, made, found = work.data(), {}, {}
    on_device = jax.device_put(data)
    for peer in peers:  # fkeras takes its data from the host
        found[peer] = attempt(start, peer, work, data if peer == "fkeras" else on_device, made)
        say(f"  {work.name} {peer}: {json.dumps(found[peer])}", flush=True)
    counts = {p: found[p]["parameters"] for p in made}
    if len(set(counts.values())) > 1:
        raise ValueError(f"{work.name}: the models differ: {counts} parameters")
    for turn in range(rounds):
        for peer in [*made][turn % len(made) :] + [*made][: turn % len(made)]:
            epochs = max(1, round(seconds / found[peer]["epoch"]))
            found[peer].update(attempt(measure, made[peer], epochs, work, found[peer]["rates"]))
        made = {p: peer for p, peer in made.items() if "failed" not in found[p]}
    return summarize(found, work)


def attempt(function, *args):
    """Returns the function's dict, or {"failed": why}: one peer may lack the memory that others can do without."""
    try:
        return function(*args)
    except Exception as err:
        return {"failed": f"{type(err).__name__}: {err}".splitlines()[0][:200]}


def start(peer, work, data, made):
    """Makes a peer's model in `made` and trains for the first time; returns the seconds that took."""
    began = time.perf_counter()
    model = importlib.import_module(f"benchmarks.peers.large_{peer}").Peer(work, *data)
    model.train(0)
    first, epoch = time.perf_counter() - began, model.train(2)[0] / 2
    made[peer] = model
    return {"parameters": int(model.parameters()), "first_epoch": first, "epoch": epoch, "rates": []}


def measure(model, epochs, work, rates):
    """Adds a round's steps per second to `rates`; returns the loss."""
    seconds, loss = model.train(epochs)
    rates.append(epochs * work.steps / seconds)
    return {"loss": loss}


def summarize(found, work):
    """Adds medians over rounds: units/s, FLOP/s of the model, and the ratio of fkeras's rate to the peer's."""
    ours, flops = found.get("fkeras", {}).get("rates", []), model_flops(work)
    for numbers in found.values():
        if rates := numbers.get("rates"):
            rate = statistics.median(rates)
            numbers |= {"units_per_s": rate * work.batch * work.units_per_row, "flops_per_s": rate * flops}
            if pairs := list(zip(ours, rates, strict=False)):
                numbers["fkeras_ratio"] = statistics.median(a / b for a, b in pairs)
    return found


# --------------------------------------------------------------------------------------------- results


def table(found, work, peak):
    """Returns one model's numbers as a table in Markdown; what is not known is a dash."""

    def shown(numbers, name, form, scale=1.0):
        return form.format(scale * numbers[name]) if name in numbers else "-"

    units = work.batch * work.units_per_row
    lines = [["peer", f"{work.unit}/s", "ms a step", "of peak FLOP/s", "first epoch, s", "fkeras : peer"]]
    lines.append(["---", *["---:"] * (len(lines[0]) - 1)])
    for peer, numbers in found.items():
        lines.append([
            peer, numbers.get("failed") or shown(numbers, "units_per_s", "{:,.4g}"),
            f"{1e3 * units / numbers['units_per_s']:.4g}" if "units_per_s" in numbers else "-",
            shown(numbers, "flops_per_s", "{:.1%}", 1 / peak) if peak else "-",
            shown(numbers, "first_epoch", "{:.1f}"), shown(numbers, "fkeras_ratio", "{:.3f}"),
        ])  # fmt: skip
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def sized(work, options):
    """Returns the model with the sizes that were asked for."""
    wanted = {"batch": options.batch, "image": options.image}
    return work._replace(**{k: v for k, v in wanted.items() if v and k in work._fields})


def main(argv=None):
    """Runs the comparison; returns the results that it stored."""
    parser = argparse.ArgumentParser(prog="benchmarks.accelerator", description=__doc__.splitlines()[0])
    parser.add_argument("--peers", type=compare.names_among(PEERS), default=list(PEERS), help="comma-separated")
    parser.add_argument("--models", type=compare.names_among(MODELS), default=list(MODELS), help="comma-separated")
    parser.add_argument("--batch", type=int, help="rows of a step; default 256 images, 8 x 1,024 tokens")
    parser.add_argument("--image", type=int, help="height and width of ResNet's images; default 224")
    parser.add_argument("--small", action="store_true", help="both models in miniature: does it run, on a CPU too?")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of training, for each peer in each round")
    parser.add_argument("--peak-tflops", type=float, help="of the device, where its kind is not known here")
    parser.add_argument("--out", type=pathlib.Path, default=compare.ROOT / "benchmarks" / "accelerator.json")
    options = parser.parse_args(argv)

    device = jax.devices()[0]
    peak = 1e12 * options.peak_tflops if options.peak_tflops else peak_of(device.device_kind)
    missing = {p: compare.absent(p) for p in options.peers}
    peers = [p for p in options.peers if missing[p] is None]
    results = {
        "command": " ".join(["python -m benchmarks.accelerator", *(argv if argv is not None else sys.argv[1:])]),
        "machine": compare.machine() | {"device": device.device_kind, "peak": peak},
        "rounds": options.rounds, "absent": {p: m for p, m in missing.items() if m}, "models": {},
    }  # fmt: skip
    said = f"one {device.device_kind}, peak {'not known' if peak is None else f'{peak / 1e12:.0f} TFLOP/s'}"
    print("\n".join([said, *(f"absent: {p} (no {m})" for p, m in results["absent"].items())]), flush=True)
    for name in options.models:
        work = sized((SMALL if options.small else MODELS)[name], options)
        found = race(work, peers, options.rounds, options.seconds)
        results["models"][name] = {"sizes": work._asdict(), "model_flops": model_flops(work), "peers": found}
        options.out.write_text(json.dumps(results, indent=1))
        sizes = ", ".join(f"{k} {v}" for k, v in work._asdict().items())
        print(f"\n{name}: {sizes}\n\n{table(found, work, peak)}\n", flush=True)
    return results


if __name__ == "__main__":
    main()

"""Results as text, as Markdown and as pictures.

`python -m benchmarks.table RESULTS.json` writes the tables and the picture of all peers anew, `python -m
benchmarks.table RESULTS.md` the picture in the README: how fkeras compares with the best of the others.
"""

import json
import pathlib
import re
import sys

from benchmarks.workloads import WORKLOADS

COLUMNS = {  # heading: (number of a peer, form, whether more is better)
    "steps/s": ("steps_per_s", "{:,.4g}", True),
    "first epoch, s": ("first_epoch", "{:.2f}", False),
    "predict, rows/s": ("predict", "{:,.0f}", True),
    "one row, rows/s": ("predict_one", "{:,.0f}", True),
    "one row, direct": ("predict_one_direct", "{:,.0f}", True),
    "memory, MB": ("memory", "{:,.0f}", False),
    "CPU ms a step": ("cpu_ms_per_step", "{:.3g}", False),
}


def rows(results, work):
    """Returns the table of one workload, a list of lists of text; the best of a column is marked with *."""
    found = results["workloads"][work]
    table = [["peer", *COLUMNS, "fkeras : peer", "setting"]]
    best = {}
    for number, _, more in COLUMNS.values():
        known = [n[number] for n in found.values() if number in n]
        best[number] = (max if more else min)(known, default=None)
    for peer, numbers in found.items():
        if "failed" in numbers:
            table.append([peer, f"failed: {numbers['failed'][:60]}", *[""] * (len(COLUMNS) + 1)])
            continue
        cells = []
        for number, form, _ in COLUMNS.values():
            value = numbers.get(number)
            cells.append("" if value is None else form.format(value) + "*" * (value == best[number]))
        ratio = numbers.get("fkeras_ratio")
        setting = ", ".join(f"{k}={v}" for k, v in numbers.get("setting", {}).items())
        table.append([peer, *cells, "" if ratio is None else f"{ratio:.2f}", setting])
    return table


def one(results, work):
    """Returns the table of one workload as aligned text."""
    table = rows(results, work)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in table]
    return "\n".join([f"\n{work}: {WORKLOADS[work].says}, batch {WORKLOADS[work].batch}", *lines])


def markdown(results):
    """Returns all tables, with machine, versions and command, as Markdown."""
    about = results["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in about["versions"].items())
    text = [
        f"`{results['command']}`, {about['date']}, {about['processor']}, {about['cores']} cores, load before "
        f"{', '.join(map(str, about['load']))}; Python {about['python']}, {versions}. Medians of {results['rounds']} "
        f"rounds; * marks the best.",
    ]
    if results["absent"]:
        text.append("Absent: " + ", ".join(f"{p} (no {m})" for p, m in results["absent"].items()) + ".")
    for work in results["workloads"]:
        head, *body = rows(results, work)
        spec = WORKLOADS[work]
        text.append(f"### {work}: {spec.says}; batch {spec.batch}, {spec.rows:,} rows\n")
        lines = [head, ["---", *["---:"] * (len(head) - 2), "---"], *body]
        text[-1] += "\n" + "\n".join("| " + " | ".join(row) + " |" for row in lines)
    if results["import"]:
        times = [f"| {peer} | {seconds:.2f} |" for peer, seconds in results["import"].items()]
        text.append("### Import, seconds\n\n| peer | s |\n| --- | ---: |\n" + "\n".join(times))
    return "\n\n".join(text) + "\n"


def draw(results, path):
    """Draws steps/s, first epoch and single predictions of all peers relative to fkeras; needs matplotlib."""
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    works = list(results["workloads"])
    peers = list(dict.fromkeys(p for found in results["workloads"].values() for p in found))
    panels = {k: COLUMNS[k] for k in ("steps/s", "first epoch, s", "predict, rows/s", "one row, rows/s")}
    figure, axes = pyplot.subplots(len(panels), 1, figsize=(11, 3 * len(panels)), layout="constrained")
    for axis, (title, (number, _, more)) in zip(axes, panels.items(), strict=True):
        for i, peer in enumerate(peers):
            heights = []
            for work in works:
                found = results["workloads"][work]
                ours, theirs = (found.get(p, {}).get(number) for p in ("fkeras", peer))
                heights.append(theirs / ours if ours and theirs else float("nan"))
            places = [k + (i - len(peers) / 2) * 0.8 / len(peers) for k in range(len(works))]
            axis.bar(places, heights, 0.8 / len(peers), label=peer, align="edge")
        axis.set(yscale="log", title=f"{title}, fkeras = 1 ({'more' if more else 'less'} is better)")
        axis.set_xticks(range(len(works)), works)
        axis.axhline(1, color="black", linewidth=0.6)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(peers))
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


NAMES = {
    "keras-jax": "Keras on JAX",
    "keras-tf": "Keras on TensorFlow",
    "torch": "PyTorch",
    "torch-compile": "torch.compile",
    "flax": "Flax",
}


def speedups(text):
    """Returns {workload: {peer: steps per second of fkeras over the peer's}} of the tables in a page of results.

    Hand-written JAX is left out: it is no library, and runs on fkeras's own kernels.
    """
    found = {}
    for work, table in re.findall(r"^### (\w+): .*?\n\n(.*?)\n\n", text, re.M | re.S):
        head, _, *body = ([cell.strip() for cell in line.strip("|").split("|")] for line in table.split("\n"))
        cells = {row[0]: row[head.index("fkeras : peer")] for row in body}
        found[work] = {peer: float(cells[peer]) for peer in NAMES if cells.get(peer)}
    return found


def glance(found, path, most=6.0):
    """Draws the ratio of fkeras to the best other library, and to Keras on JAX, for each workload; needs matplotlib.

    Args:
        found: What `speedups` returned.
        path: Where the picture goes.
        most: Longer bars are cut off here, with their number beside them.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(8.6, 4.6), layout="constrained")
    works = sorted(found, key=lambda work: min(found[work].values()))
    for i, work in enumerate(works):
        best = min(found[work], key=found[work].get)
        bars = [(best, "#3f51b5", i + 0.2), ("keras-jax", "#b3b9e0", i - 0.2)]
        for peer, color, y in bars[: 1 if best == "keras-jax" else 2]:
            ratio = found[work][peer]
            height, y = (0.78, i) if best == "keras-jax" else (0.38, y)
            axis.barh(y, min(ratio, most), height, color=color)
            said = f"{ratio:.2g}× {NAMES[peer]}{' (bar cut off)' * (ratio > most)}"
            axis.text(min(max(ratio, 1), most) + 0.05, y, said, va="center", fontsize=9)
    axis.axvline(1, color="black", linewidth=1)
    axis.set_yticks(range(len(works)), works)
    axis.set_xlim(0, most + 1.8)
    axis.set_xticks([0, 1, 2, 3, 4, 5, 6], ["0", "1: as fast", "2", "3", "4", "5", "6"])
    axis.set_title("Training speed of fkeras relative to others (longer is better)", loc="left", fontsize=11)
    handles = [pyplot.Rectangle((0, 0), 1, 1, color=c) for c in ("#3f51b5", "#b3b9e0")]
    axis.legend(handles, ["the fastest other library", "Keras on JAX"], loc="lower right", frameon=False)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.tick_params(axis="y", length=0)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


if __name__ == "__main__":
    source = pathlib.Path(sys.argv[1])
    if source.suffix == ".md":
        glance(speedups(source.read_text()), source.with_name("glance.png"))
        sys.exit()
    stored = json.loads(source.read_text())
    source.with_suffix(".md").write_text(markdown(stored))
    draw(stored, source.with_suffix(".png"))
    print(*(one(stored, work) for work in stored["workloads"]), sep="\n")

"""The measurement of `benchmarks.scaling` runs; its model of a network obeys what is known of networks."""

import json
import os

import pytest

from benchmarks import scaling
from benchmarks.workloads import WORKLOADS


def test_a_quick_run_stores_what_it_measured_and_computed(tmp_path, capsys, monkeypatch):
    for name in ("XLA_FLAGS", "JAX_PLATFORMS"):  # put back afterwards; this process has its eight devices already
        monkeypatch.setenv(name, os.environ.get(name, ""))
    out = tmp_path / "scaling.json"
    scaling.main(["--quick", "--workloads", "tiny", "--out", str(out)])
    found = json.loads(out.read_text())
    tiny = found["measured"]["tiny"]
    assert all(tiny[n]["step_ms"] > 0 and tiny[n]["cpu_ms"] > 0 for n in ("one", "1", "2"))
    assert tiny["2"]["overhead_ms"] == tiny["2"]["step_ms"] - tiny["one"]["step_ms"]
    rows = {(row["machine"], row["model"]): row for row in found["computed"]}
    assert {model for _, model in rows} == {"tiny", "ResNet-50", "GPT-2 small"}
    for row in rows.values():
        values = list(row["efficiency"].values())
        assert 1 > values[0] >= values[1] >= values[2] >= values[3] > 0
        assert all(row["unsynchronized"][n] >= row["efficiency"][n] for n in row["efficiency"])
    assert rows["A100", "ResNet-50"]["published"] and not rows["TPU v4", "ResNet-50"]["published"]
    printed = capsys.readouterr().out
    assert "| tiny | 32 |" in printed and "Computed: TPU v4" in printed and "| GPT-2 small |" in printed


def test_flops_and_exchanges_are_read_off_the_step():
    step = scaling.step_of(WORKLOADS["mlp"], 16)
    # Forward and the kernels' gradients take each product once, the inputs' gradient only that of the second layer.
    assert step.flops == 2 * 16 * (2 * 784 * 128 + 3 * 128 * 10)
    assert step.parameters == 784 * 128 + 128 + 128 * 10 + 10
    assert (
        len(step.exchanges) == 2 and step.exchanges == step.unsynchronized
    )  # the count of rows; gradients, with losses
    assert 0 <= sum(step.exchanges) - 4 * step.parameters <= 16


def test_products_in_a_scan_count_at_every_step():
    work = WORKLOADS["lstm"]
    short, long = (scaling.step_of(work._replace(inputs=(t,)), 4).flops for t in (5, 10))
    assert long / short == pytest.approx(2, rel=0.1)  # but for the last layer


def test_synchronized_batch_statistics_add_exchanges_but_few_bytes():
    step = scaling.step_of(WORKLOADS["resnet"], 8)
    assert len(step.unsynchronized) == 2 < len(step.exchanges)
    assert sum(step.unsynchronized) == pytest.approx(sum(step.exchanges), rel=0.05)


def test_an_all_reduce_costs_what_its_ring_says():
    flat = scaling.Machine("flat", 1e12, 1e12, lambda n: [scaling.Level(n, 1e9, 0.0)], "")
    for n in (2, 8, 4096):
        assert flat.all_reduce(1e6, n) == pytest.approx(2 * (n - 1) / n * 1e-3)
    cube = scaling.Machine("cube", 1e12, 1e12, lambda n: [scaling.Level(round(n ** (1 / 3)), 1e9, 1e-6)] * 3, "")
    # Axis by axis it moves the same bytes as one ring, over far fewer hops.
    assert cube.all_reduce(1e6, 4096) == pytest.approx(2 * 4095 / 4096 * 1e-3 + 3 * 2 * 15 * 1e-6)
    assert scaling.Level(512, 1e9, 1e-6, tree=True).seconds(0) == pytest.approx(2 * 9 * 1e-6)


def test_a_published_step_time_is_preferred():
    step = scaling.Step("x", 1, 1, 4e11, 1e9, (0,), (0,), {"TPU v4": 7.0})
    tpu, a100 = scaling.MACHINES
    assert tpu.step_seconds(step) == 7.0
    assert a100.step_seconds(step) == pytest.approx(4e11 / (0.4 * 312e12))

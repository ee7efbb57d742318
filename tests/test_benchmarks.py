"""The comparison of `benchmarks` runs, and writes what it promises. What it measures is not judged here."""

import json
import pathlib

import pytest

from benchmarks import augment, compare, import_time, table
from benchmarks.worker import PEERS
from benchmarks.workloads import WORKLOADS


def test_a_quick_comparison_stores_numbers_table_and_picture_of_each_peer(tmp_path):
    out = tmp_path / "results.json"
    compare.main(["--quick", "--peers", "fkeras,jax", "--workloads", "tiny", "--out", str(out)])
    found = json.loads(out.read_text())["workloads"]["tiny"]
    assert set(found) == {"fkeras", "jax"}
    for numbers in found.values():
        assert numbers["parameters"] == 10 * 16 + 16 + 16 + 1
        assert all(numbers[number] > 0 for number, _, _ in table.COLUMNS.values())
        # Targets are uniform in [0, 1]: predicting their mean, which every epoch gets close to, leaves 1 / 12.
        assert numbers["rounds"][-1]["train"]["loss"] == pytest.approx(1 / 12, abs=0.01)
    assert found["fkeras"]["fkeras_ratio"] == 1
    text = out.with_suffix(".md").read_text()
    assert "| fkeras | " in text and "### tiny: MLP 10-16-1; batch 32" in text


def test_the_picture_of_the_readme_is_drawn_from_the_tables_of_the_page(tmp_path):
    pytest.importorskip("matplotlib", reason='pictures are part of the "test" extra')
    found = table.speedups((pathlib.Path(table.__file__).parent / "RESULTS.md").read_text())
    assert found.keys() == WORKLOADS.keys()
    assert found["cnn"]["keras-jax"] == 5.59 and found["resnet"]["keras-tf"] == 0.86 and "jax" not in found["cnn"]
    table.glance(found, tmp_path / "glance.png")
    assert (tmp_path / "glance.png").stat().st_size > 10_000


def test_the_import_time_says_what_it_compares():
    text, extra = import_time.report(
        [(1.0, 1.1), (2.0, 2.2), (1.5, 3.0)]
    )  # medians 1.5 and 2.2, differences 0.1 to 1.5
    assert extra == pytest.approx(0.2)
    assert "0.20 s more than import jax: median of the differences within 3 pairs" in text
    assert "0.10 to 1.50 s" in text and "import jax 1.50 s, import fkeras 2.20 s (medians)" in text


def test_a_failing_peer_and_the_best_of_a_column_are_marked():
    numbers = {number: 2.0 for number, _, _ in table.COLUMNS.values()}
    results = {
        "workloads": {"mlp": {"fkeras": numbers, "jax": numbers | {"steps_per_s": 3.0}, "torch": {"failed": "why"}}}
    }
    head, ours, theirs, failed = table.rows(results, "mlp")
    assert ours[head.index("steps/s")] == "2" and theirs[head.index("steps/s")] == "3*"
    assert failed[:2] == ["torch", "failed: why"] and len(failed) == len(head)


def test_the_ratio_is_the_median_of_ratios_within_rounds():
    def rounds(*rates):
        names = compare.SLICES.keys() - {"train"}
        return {"rounds": [{"train": {"rate": r, "cpu_ms": 1.0}} | dict.fromkeys(names, 1.0) for r in rates]}

    found = compare.summarize({"fkeras": rounds(10, 20, 90), "jax": rounds(5, 40, 30)})  # ratios 2, 0.5, 3
    assert found["jax"]["fkeras_ratio"] == 2 and found["jax"]["steps_per_s"] == 30


def test_data_are_the_same_for_every_peer_and_fit_the_batches():
    for work in WORKLOADS.values():
        small = work._replace(rows=2 * work.batch)
        (x, y), (again, _) = small.data(), small.data()
        assert work.rows % work.batch == 0 and small.steps == 2
        assert x.shape == (small.rows, *work.inputs) and (x == again).all()
        assert y is x if work.targets is None else y.shape == (small.rows, *work.targets)


def test_names_that_do_not_exist_are_refused(capsys):
    with pytest.raises(SystemExit):
        compare.main(["--peers", "caffe"])
    assert f"unknown name 'caffe'; known: {', '.join(PEERS)}" in capsys.readouterr().err


def test_the_comparison_on_varied_pictures_measures_each_kind():
    found = augment.run(["fkeras"], ["folder"], 1, 8, 0.1)
    assert found["folder"]["fkeras"][0] > 0
    assert augment.measure("fkeras", "small", None, 0.05) > 0
    text = augment.table({"small": {"fkeras": [3.0, 2.0, 4.0], "keras-jax": [1.0, 1.0, 1.0]}})
    assert "| steps/s, 64 of 32 x 32 | 3 | 1 (3.00x) |" in text

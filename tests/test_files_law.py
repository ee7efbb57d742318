"""The round-trip law: catalog x optimizer x loss x metric x format, through both lines of Keras.

Each row of the catalogs of losses, optimizers and metrics is compiled into a model at least once, in turn, and travels
through files: fkeras -> file -> Keras 3 -> file -> fkeras, and fkeras -> file -> tf_keras -> file -> fkeras. Settings
have to be the same on arrival. What they compute is judged where the families are tested.
"""

import json
import pathlib
import re

import pytest

from fkeras import layers as L
from fkeras import losses, metrics, optim, saving
from fkeras.models import Input, Sequential
from tests.catalog import losses as loss_rows
from tests.catalog import metrics as metric_rows
from tests.catalog import optim as optim_rows

COUNT = max(len(c.CATALOG) for c in (loss_rows, metric_rows, optim_rows))
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:tf_keras", "ignore::DeprecationWarning")


def combination(i):
    """The i-th (loss, optimizer, metric) of the catalogs."""
    return tuple(c.CATALOG[i % len(c.CATALOG)] for c in (loss_rows, optim_rows, metric_rows))


def compiled(i):
    loss, optimizer, metric = combination(i)
    model = Sequential([Input((4,)), L.Dense(4, name="d")], name="m")
    model.compile(
        optimizer.build(optim),
        loss=getattr(losses, loss.cls)(**loss.options),
        metrics=[getattr(metrics, metric.cls)(**metric.options)],
    )
    return model


def plain(value):
    """A config without what only says where or how: modules, names of the same thing, dtypes, numbers in float32."""
    if isinstance(value, dict):
        kept = {k: plain(v) for k, v in value.items() if k not in ("module", "registered_name", "dtype", "name")}
        return {k: v for k, v in kept.items() if v is not None}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(f"{float(value):.5g}")
    return value


def settings(model):
    config = model.get_compile_config()
    return {k: plain(config[k]) for k in ("optimizer", "loss", "metrics")}


@pytest.mark.parametrize("ending", [".h5", ".keras"])
def test_what_was_compiled_comes_back_from_our_file(ending, tmp_path):
    for i in range(COUNT):
        model = compiled(i)
        model.save(tmp_path / f"m{ending}")
        again = saving.load_model(tmp_path / f"m{ending}")
        assert settings(again) == settings(model), combination(i)


def lost(library, optimizers, i, folder, ending):
    """What is not the same after a stay in another library, apart from what it loses of its own models too."""
    loss, optimizer, metric = combination(i)
    try:
        own = library.Sequential([library.Input((4,)), library.layers.Dense(4, name="d")], name="m")
        own.compile(
            optimizer.build(optimizers),
            loss=getattr(library.losses, loss.cls)(**loss.options),
            metrics=[getattr(library.metrics, metric.cls)(**metric.options)],
        )
        own.save(folder / f"o{ending}")
        library.models.load_model(folder / f"o{ending}").save(folder / f"o{ending}")
        own = settings(saving.load_model(folder / f"o{ending}"))
    except (AttributeError, TypeError, ValueError, KeyError):  # it has no such thing, or cannot read its own file
        return None
    model = compiled(i)
    model.save(folder / f"m{ending}")
    library.models.load_model(folder / f"m{ending}").save(folder / f"k{ending}")
    wanted, got = settings(model), settings(saving.load_model(folder / f"k{ending}"))
    excused = {part for part, *_ in unlike(wanted, own)}
    return [found for found in unlike(wanted, got) if found[0] not in excused]


def unlike(wanted, got):
    """The parts whose settings are not the same, where both sides know them."""
    found = []
    for part in wanted:
        a, b = (json.loads(json.dumps(v[part])) for v in (wanted, got))
        a, b = (v[0] if isinstance(v, list) and len(v) == 1 else v for v in (a, b))
        a, b = (v[0] if isinstance(v, list) and len(v) == 1 else v for v in (a, b))
        if isinstance(a, dict) and isinstance(b, dict) and a.get("class_name") == b.get("class_name"):
            a, b = a["config"], b["config"]
            if {k: v for k, v in a.items() if k in b} == {k: v for k, v in b.items() if k in a}:
                continue
        elif a == b:
            continue
        found.append((part, a, b))
    return found


@pytest.mark.parametrize("ending", [".h5", ".keras"])
def test_what_was_compiled_comes_back_from_keras_3(keras, ending, tmp_path):
    rows = range(ending == ".h5", COUNT, 2)  # each in one format; all in both are in the law of our own files
    found = {i: lost(keras, keras.optimizers, i, tmp_path, ending) for i in rows}
    assert {combination(i): parts for i, parts in found.items() if parts} == {}
    assert sum(parts == [] for parts in found.values()) > len(found) / 2


@pytest.mark.filterwarnings("ignore:Nadam")  # whose formula changed
def test_what_was_compiled_comes_back_from_keras_2(tmp_path):
    old = pytest.importorskip("tf_keras", reason="the judge of Keras 2's files")
    found = {i: lost(old, old.optimizers.legacy, i, tmp_path, ".h5") for i in range(COUNT)}
    assert {combination(i): parts for i, parts in found.items() if parts} == {}
    assert sum(parts == [] for parts in found.values()) > 10


def test_the_pages_name_tests_that_exist():
    root = pathlib.Path(__file__).parent.parent
    known = {name for p in root.glob("tests/test_*.py") for name in re.findall(r"^def (test_\w+)", p.read_text(), re.M)}
    for page in ("docs/files.md", "SECURITY.md"):
        named = set(re.findall(r"`(test_\w+)`", (root / page).read_text()))
        assert len(named) > 5 and named <= known, (page, named - known)

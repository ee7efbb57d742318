"""What runs on a GPU or TPU, held on the CPU: the models of `benchmarks.accelerator` in their formulation there.

The small ResNet and GPT train by `fit` as on an accelerator: convolutions and poolings whole, data kept and shuffled on
the device, and by the program written by hand, from the same weights over the same batches.
"""

import functools
import json
import re
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fkeras
from benchmarks import accelerator, compare
from benchmarks.large import MODELS, SMALL
from benchmarks.peers import large_fkeras, large_jax
from fkeras.compiled import programs
from fkeras.data import sources
from fkeras.layers.kernels.convolution import formulation

EPOCHS = 2
RATES = {"resnet50": 0.01, "gpt2": 1e-3}  # low: ResNet's own would make much of bfloat16's rounding within six steps
HALF = "mixed_bfloat16"


@pytest.fixture(scope="module", params=[(m, p) for m in SMALL for p in ("float32", HALF)], ids=" ".join)
def run(request):
    """Trains one model both ways; returns what came of it."""
    name, policy = request.param
    work = SMALL[name]._replace(policy=policy, rate=RATES[name])
    x, y = work.data()
    fkeras.utils.set_random_seed(0)
    lowered, compile_for = [], programs.compile_for
    with pytest.MonkeyPatch.context() as patch, formulation("lax"):
        patch.setattr(sources, "_fits_device", lambda size: True)
        patch.setattr(programs, "compile_for", lambda kind, low: lowered.append(low) or compile_for(kind, low))
        ours = large_fkeras.Peer(work, x, y)
        first = by_hand(work, ours.model)
        fitted = ours.model.fit(x, y, work.batch, EPOCHS, shuffle=False, verbose=0)
    state, losses = large_jax.start(work, *jax.tree.map(jnp.array, first)), []
    rows = np.arange(len(x), dtype=np.int32).reshape(-1, work.batch)
    lowered.append(jax.jit(large_jax.step_of(work)).lower(state, x, y, rows[0]))
    step = lowered[-1].compile()
    for batch in [*rows] * EPOCHS:
        state, loss = step(state, x, y, batch)
        losses.append(float(loss))
    our_text, their_text = (low.as_text() for low in lowered)
    return SimpleNamespace(
        work=work, model=ours.model, first=first, state=state, our_text=our_text, their_text=their_text,
        our_losses=fitted.history["loss"], their_losses=np.reshape(losses, (EPOCHS, -1)).mean(1),
    )  # fmt: skip


def by_hand(work, model):
    """Returns copies of a model's (params, state) in the form of the hand-written program."""
    params, state = jax.tree.map(np.array, model.gather())
    for i in range(work.blocks if work.name == "gpt2" else 0):
        inner = params.pop(f"{i}_attend")
        three = [inner[name] for name in ("query", "key", "value")]
        params[f"{i}_qkv"] = {
            "kernel": np.concatenate([p["kernel"].reshape(work.width, -1) for p in three], 1),
            "bias": np.concatenate([p["bias"].ravel() for p in three]),
        }
        out = inner["attention_output"]
        params[f"{i}_out"] = {"kernel": out["kernel"].reshape(-1, work.width), "bias": out["bias"]}
    return params, state


def products(text):
    """Returns [(operation, element types of operands)] of a lowered program's matrix products and convolutions."""
    found = re.findall(r"stablehlo\.(dot_general|convolution)\b.* : \((.*)\) ->", text)
    return [(name, *re.findall(r"(?:x|<)([a-z]+\d+)>", operands)) for name, operands in found]


def casts(text, least):
    """Counts the casts of arrays with at least so many elements in a lowered program."""
    shapes = re.findall(r"stablehlo\.convert .*tensor<((?:\d+x)+)\w+>$", text, re.M)
    return sum(np.prod([int(n) for n in shape.split("x")[:-1]]) >= least for shape in shapes)


def test_fit_takes_the_steps_of_the_hand_written_program(run):
    """To rounding: 24 bits in float32, 8 in bfloat16."""
    np.testing.assert_allclose(run.our_losses, run.their_losses, rtol=1e-5 if run.work.policy == "float32" else 5e-3)
    assert run.our_losses[1] < 0.95 * run.our_losses[0]  # losses of models that stand still would be equal too


def test_weights_and_statistics_go_where_the_hand_written_program_takes_them(run):
    ours, theirs = by_hand(run.work, run.model), (run.state[1], run.state[3])
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)

    def length(a, b):
        squares = jax.tree.map(lambda a, b: np.sum(np.square(a - b, dtype="float64")), a, b)
        return sum(jax.tree.leaves(squares)) ** 0.5

    # Of the way they went. A key's bias has no gradient but rounding, of which Adam makes steps: 2e-3 in float32.
    assert length(ours, theirs) < (5e-3 if run.work.policy == "float32" else 0.1) * length(theirs, run.first)


def test_products_are_bfloat16_and_what_is_kept_float32(run):
    dtype = "f32" if run.work.policy == "float32" else "bf16"
    ours, theirs = products(run.our_text), products(run.their_text)
    assert {types for _, *types in ours for types in types} == {dtype}
    convolutions = [sum(name == "convolution" for name, *_ in found) for found in (ours, theirs)]
    assert convolutions[0] == convolutions[1] == (0 if run.work.name == "gpt2" else 3 * 12 - 1)
    kept = [*jax.tree.leaves(run.model.gather()), *jax.tree.leaves(run.model.optimizer.state["slots"])]
    assert {a.dtype.name for a in kept} == {"float32"}
    assert "stablehlo.custom_call" not in run.our_text and "f64" not in run.our_text


def test_no_activation_is_cast_more_often_than_by_hand(run):
    row = 8 * 4 * 4 * 8 if run.work.name == "resnet50" else run.work.batch * run.work.length * run.work.width
    ours, theirs = (casts(text, row) for text in (run.our_text, run.their_text))
    assert ours <= theirs and (theirs > 0) == (run.work.policy == HALF)


def test_a_block_of_one_batch_is_no_loop_on_an_accelerator(monkeypatch):
    """A GPU's loop waits for the host at each round, and large batches come one to a block. The steps are the same."""
    lowered, compile_for, runs = [], programs.compile_for, []
    monkeypatch.setattr(programs, "compile_for", lambda kind, low: lowered.append(low) or compile_for(kind, low))
    x = np.random.default_rng(0).normal(size=(10, 3)).astype("float32")
    for steps, name in ((1, "lax"), (2, "lax"), (1, "cpu")):
        fkeras.utils.set_random_seed(0)
        model = fkeras.Sequential([fkeras.layers.Dense(1, input_shape=(3,))])
        model.compile("sgd", "mse", steps_per_execution=steps)
        with formulation(name):
            model.fit(x, x[:, :1], batch_size=4, epochs=2, verbose=0)
            runs.append([*model.get_weights(), model.evaluate(x, x[:, :1], batch_size=4, verbose=0)])
    train, test = ([low.as_text().count("stablehlo.while") for low in lowered[kind::2]] for kind in (0, 1))
    assert [n > 0 for n in train] == [n > 0 for n in test] == [False, True, True]
    for other in runs[1:]:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), runs[0], other)


# -------------------------------------------------------------------------------------- the benchmark


def test_the_large_models_are_those_of_the_papers():
    """25.6 million parameters and 4.1e9 multiply-adds an image; 124.4 million, a head and 47 letters more twice."""
    tokens = 2 * (12 * 12 * 768**2 + 50_304 * 768) + 4 * 12 * 768 * 1024  # PaLM's formula
    for work, size, flops in (
        (MODELS["resnet50"], 25_557_032, pytest.approx(2 * 4.09e9, rel=0.01)),
        (MODELS["gpt2"], 124_439_808 + 50_257 * 768 + 2 * 47 * 768, tokens),
    ):
        model = large_fkeras.build(work)
        assert sum(int(np.prod(w.shape)) for w in model.declarations().values() if w.trainable) == size
        params, _ = jax.eval_shape(functools.partial(large_jax.MODELS[work.name][0], work), jax.random.key(0))
        assert sum(p.size for p in jax.tree.leaves(params)) == size
        assert accelerator.model_flops(work) / work.batch / work.units_per_row / 3 == flops


def test_a_comparison_stores_and_prints_what_it_promises(tmp_path, capsys):
    out = tmp_path / "results.json"
    command = "--small --models gpt2 --batch 2 --rounds 1 --seconds 0 --peak-tflops 1e-3 --out".split()
    accelerator.main([*command, str(out)])
    stored, said = json.loads(out.read_text()), capsys.readouterr().out
    numbers, flops = stored["models"]["gpt2"]["peers"], stored["models"]["gpt2"]["model_flops"]
    for peer in accelerator.PEERS:
        missing = compare.absent(peer)
        assert stored["absent"].get(peer) == missing and (f"absent: {peer}" in said) == (missing is not None)
        assert (peer in numbers) == (f"| {peer} |" in said) == (missing is None)
    for found in numbers.values():
        assert found["units_per_s"] == pytest.approx(found["rates"][0] * 2 * 16)
        assert 0 < found["loss"] < 1.02 * np.log(64)  # what guessing costs
        assert f"{found['rates'][0] * flops / 1e9:.1%}" in said
    assert numbers["fkeras"]["fkeras_ratio"] == 1 and numbers["jax"]["fkeras_ratio"] > 0


def test_rounds_are_compared_one_by_one_and_a_failing_peer_is_left_out(monkeypatch):
    seconds = {"fkeras": [1, 2, 1, 4], "jax": [1, 1, 1, 1], "flax": [1]}  # of an epoch; the first is not a round
    monkeypatch.setattr(accelerator.importlib, "import_module", lambda name: _fake(name.split("_")[-1], seconds))
    found = accelerator.race(SMALL["gpt2"], accelerator.PEERS, 3, 0, say=lambda *_, **__: None)
    assert found["jax"]["fkeras_ratio"] == 0.5 and found["flax"]["failed"] == "IndexError: pop from empty list"
    assert found["fkeras"]["rates"] == [3 / 2, 3, 3 / 4]
    row = accelerator.table(found, SMALL["gpt2"], None).splitlines()[2:]
    assert row[0].startswith("| fkeras | 96 | 666.7 | - |") and row[2].startswith("| flax | IndexError")


def test_models_that_differ_are_not_compared(monkeypatch):
    monkeypatch.setattr(accelerator.importlib, "import_module", lambda name: _fake(name, {name: [1]}, len(name)))
    with pytest.raises(ValueError, match="gpt2: the models differ: {'fkeras': 29, 'jax': 26} parameters"):
        accelerator.race(SMALL["gpt2"], ["fkeras", "jax"], 1, 0, say=lambda *_, **__: None)


def _fake(name, seconds, size=5):
    class Peer:
        def __init__(self, work, x, y):
            pass

        def parameters(self):
            return size

        def train(self, epochs):
            return (0 if epochs == 0 else epochs * seconds[name].pop(0)), 1.0

    return SimpleNamespace(Peer=Peer)


def test_peaks_are_found_by_the_device():
    kinds = {"NVIDIA H100 PCIe": 756, "NVIDIA H100 80GB HBM3": 989, "NVIDIA L4": 121, "NVIDIA L40S": 362}
    kinds |= {"Tesla T4": 65, "TPU v5 lite": 197, "TPU v5p": 459}
    assert {kind: accelerator.peak_of(kind) / 1e12 for kind in kinds} == kinds
    assert accelerator.peak_of("cpu") is None

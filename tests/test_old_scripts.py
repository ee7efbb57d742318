"""Programs as people wrote them in 2016, 2018, 2020 and 2023 (`tests/scripts/`) run unchanged under `fkeras.as_keras`.

Each holds its own claims (shapes, that the weights move, that a file comes back); Keras and TensorFlow are hidden.
"""

import json
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent / "scripts"
SCRIPTS = sorted(path.stem for path in HERE.glob("*.py"))
SAMPLE = {
    "y2016_custom_layer",
    "y2016_deep_dream_gradients",
    "y2016_functional_vae",
    "y2016_generator_augmentation",
    "y2016_merge_two_branches",
    "y2016_stateful_text",
    "y2018_attention_layer",
    "y2018_gan",
    "y2018_vae_add_loss",
    "y2020_multi_output_callbacks",
    "y2023_keras3_registered",
}
RUNNER = """
import contextlib, importlib.machinery, io, json, runpy, sys, traceback, warnings

find = importlib.machinery.PathFinder.find_spec
hidden = ("keras", "tensorflow", "tf_keras")
importlib.machinery.PathFinder.find_spec = staticmethod(
    lambda name, path=None, target=None: None if name.partition(".")[0] in hidden else find(name, path, target)
)
import fkeras.as_keras, fkeras

found = {}
for path in sys.argv[1:]:
    fkeras.utils.set_random_seed(0)
    fkeras.utils.clear_session()
    fkeras.config.set_image_data_format("channels_last")
    said = []
    with warnings.catch_warnings(record=True) as said, contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("always")
        try:
            runpy.run_path(path, run_name="__main__")
            wrong = None
        except BaseException:
            wrong = traceback.format_exc()[-1500:]
    old = [w for w in said if issubclass(w.category, DeprecationWarning) and "today" in str(w.message)]
    found[path] = [wrong, [[w.filename, str(w.message)] for w in old]]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def outcomes(request, tmp_path_factory):
    """{script: [traceback or None, [[file, what was said of an old spelling], ...]]} of all that this run asks for."""
    wanted = {item.callspec.params["name"] for item in request.session.items if item.fspath == request.fspath
              and "name" in getattr(getattr(item, "callspec", None), "params", {})}  # fmt: skip
    paths = [str(HERE / f"{name}.py") for name in sorted(wanted)]
    root = str(HERE.parent.parent)
    out = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {root!r})\n{RUNNER}", *paths],
        capture_output=True, text=True, cwd=tmp_path_factory.mktemp("scripts"),
    )  # fmt: skip
    assert out.returncode == 0, out.stderr[-2000:]
    return {pathlib.Path(path).stem: found for path, found in json.loads(out.stdout.splitlines()[-1]).items()}


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in SAMPLE else pytest.mark.long) for n in SCRIPTS])
def test_a_script_of_its_time_runs_and_old_spellings_are_answered_where_they_stand(name, outcomes):
    if "sklearn" in (HERE / f"{name}.py").read_text():
        pytest.importorskip("sklearn")
    wrong, said = outcomes[name]
    assert wrong is None, wrong
    assert all(file == str(HERE / f"{name}.py") for file, _ in said)
    assert all(len(text) < 300 and "\n" not in text for _, text in said)
    assert said or not name.startswith("y2016")

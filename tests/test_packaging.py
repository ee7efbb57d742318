"""What is installed is complete: wheel, source distribution, and the extras that messages name."""

import importlib.metadata
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile

import pytest

import fkeras
from fkeras.core import optional

ROOT = pathlib.Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
FILES = [path for path in (ROOT / "fkeras").rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def test_the_version_is_said_in_one_place():
    assert PROJECT["dynamic"] == ["version"] and "version" not in PROJECT
    assert re.fullmatch(r"\d+\.\d+\.\d+", fkeras.__version__)


def test_required_are_jax_numpy_and_h5py_alone():
    assert sorted(PROJECT["dependencies"]) == ["h5py", "jax", "jaxlib", "numpy"]


def test_every_extra_that_a_message_or_a_page_names_exists():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    sources = [path.read_text("utf-8") for path in [*FILES, *pages] if path.suffix in (".py", ".md")]
    named = {
        name
        for text in sources
        for names in re.findall(r"(?:fkeras|\"\.)\[([a-z,]+)\]", text)
        for name in names.split(",")
    }
    named |= {extra for _, extra in optional.EXTRAS.values() if extra}
    assert named >= {"stablehlo", "plot", "images", "docs"} and named <= set(EXTRAS)


def test_what_the_tests_need_is_what_the_extras_name():
    """A package of an extra that a message names is one of the extra "test" as well, so that it is tried."""
    tried = {re.match(r"[\w.-]+", one)[0].lower() for one in EXTRAS["test"]}
    for name in ("images", "plots", "sklearn", "stablehlo"):
        assert {re.match(r"[\w.-]+", one)[0].lower() for one in EXTRAS[name]} <= tried, name


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel and the source distribution."""
    pytest.importorskip("build", reason='it is part of the "test" extra')
    out = tmp_path_factory.mktemp("dist")
    done = subprocess.run([sys.executable, "-m", "build", "-o", out, ROOT], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (wheel,), (source,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return {"wheel": wheel, "sdist": source}


@pytest.mark.long
def test_the_wheel_holds_the_package_and_nothing_else(built):
    inside = set(zipfile.ZipFile(built["wheel"]).namelist())
    assert inside >= {str(path.relative_to(ROOT).as_posix()) for path in FILES}
    assert {name.split("/")[0] for name in inside} == {"fkeras", f"fkeras-{fkeras.__version__}.dist-info"}
    assert "fkeras/py.typed" in inside
    assert built["wheel"].stat().st_size < 3e6


@pytest.mark.long
def test_the_source_distribution_holds_the_repository(built):
    with tarfile.open(built["sdist"]) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0:
        assert set(listed.stdout.split()) <= inside
    assert {"tests/conftest.py", "tests/catalog/__init__.py", "docs/reference.py", "mkdocs.yml"} <= inside


@pytest.mark.long
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_what_is_built_installs_in_a_fresh_environment_and_runs_the_demo(kind, built, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "XLA_FLAGS")}
    jax = f"jax=={importlib.metadata.version('jax')}"
    subprocess.run([python, "-m", "pip", "install", "-q", jax, built[kind]], check=True, env=env)
    done = subprocess.run([python, "-m", "fkeras"], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"fkeras {fkeras.__version__}" in done.stdout and "predictions are equal" in done.stdout

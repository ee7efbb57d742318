"""What every test shares: real Keras on JAX as the judge, explicit keys, strict JAX."""

import importlib.metadata
import os

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("FKERAS_COMPILATION_CACHE", "0")  # what a test measures must not depend on the last run
os.environ["TERM"] = "xterm"  # nor on the terminal it is run from
os.environ.pop("NO_COLOR", None)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # the judge's convolutions of channels that come first, on any CPU
# The suite's time is XLA's to compile, halved by the last two flags. XLA ends the process at a flag it does not know.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
    + " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    * importlib.metadata.version("jaxlib").startswith("0.10."),
)

import jax
import pytest

import fkeras

# Files of few but long tests come first, so that no worker is left with one of them at the end.
_FIRST = (
    "distribute", "saved_model", "functional", "notebooks", "augment", "ops", "twins", "recurrent", "docs", "pickle",
    "accelerator_path", "survival", "files_old", "files_keras2",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    """Sorts the files, not what is in them."""
    place = {f"test_{name}.py": i for i, name in enumerate(_FIRST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


@pytest.fixture(autouse=True)
def same_start():
    """Unseeded numbers and default names start each test alike: a failure comes back when the test is run alone."""
    fkeras.utils.set_random_seed(0)
    fkeras.utils.clear_session()


@pytest.fixture
def key():
    """A JAX key; each test starts from the same one."""
    return jax.random.key(0)


@pytest.fixture(scope="session")
def keras():
    """Real Keras 3 on the JAX backend: the judge of numbers, files and names."""
    return pytest.importorskip("keras", reason='the judge is part of the "test" extra')

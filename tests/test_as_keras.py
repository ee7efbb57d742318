"""`import fkeras.as_keras`: scripts that import Keras, of any age, get fkeras; in processes of their own."""

import importlib.util
import subprocess
import sys
import textwrap

import pytest

import fkeras
from fkeras import keras_paths


def run(code, *options):
    """Runs code in a process of its own; returns what it prints."""
    out = subprocess.run([sys.executable, *options, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert out.returncode == 0, out.stderr[-2000:]
    return out.stdout


def test_every_way_to_import_keras_gives_the_same_modules_without_keras_and_tensorflow():
    said = run(
        """
        import importlib.machinery
        real = importlib.machinery.PathFinder.find_spec
        hidden = ("keras", "tensorflow", "tf_keras")
        importlib.machinery.PathFinder.find_spec = staticmethod(
            lambda name, path=None, target=None: None if name.partition(".")[0] in hidden else real(name, path, target)
        )
        import fkeras.as_keras
        import fkeras, keras
        import keras.backend as K
        import tensorflow as tf
        import tensorflow.keras as tk
        import tf_keras, keras_core
        import keras.layers.core as core
        from keras.layers import Dense
        from keras.layers.core import Dropout
        from keras.src.layers.core.dense import Dense as D1
        from keras.src.saving.serialization_lib import deserialize_keras_object
        from keras.api.layers import Dense as D2
        from tensorflow import keras as k2
        from tensorflow.compat.v1.keras.layers import Dense as D3
        from tensorflow.keras.layers import Dense as D4
        from tensorflow.keras.layers.experimental.preprocessing import Rescaling
        from tensorflow.python.keras.layers import Dense as D5
        from tensorflow.python.keras.utils.np_utils import to_categorical

        assert keras is tk is k2 is tf.keras is tf_keras is keras_core
        assert keras.layers is tf.keras.layers is fkeras.layers and K is fkeras.backend
        assert {Dense, D1, D2, D3, D4, D5} == {fkeras.layers.Dense}
        assert Dropout is core.Dropout is keras.layers.core.Dropout is fkeras.layers.Dropout
        assert Rescaling is fkeras.layers.Rescaling and to_categorical is fkeras.utils.to_categorical
        assert tf.keras.optimizers.legacy.Adam is keras.optimizers.experimental.Adam is fkeras.optimizers.Adam
        assert fkeras.layers.__name__ == "fkeras.layers" == fkeras.layers.__spec__.name
        from keras.layers import *
        from keras.layers.core import *
        assert Flatten is fkeras.layers.Flatten
        print(keras.__version__ == keras.version(), keras.config.backend(), K.backend(), int(tf.__version__[0]))
        for line in ("tf.matmul", "from tensorflow import matmul", "import tensorflow.data", "tf.compat.v1.Session"):
            try:
                exec(line)
            except (AttributeError, ImportError) as err:
                assert len(str(err)) < 300
                print(err)
        """,
        "-W",
        "ignore",
    ).splitlines()
    assert said[0] == "True jax jax 2"
    wanted = ("tensorflow.matmul", "tensorflow.matmul", "tensorflow.data", "tensorflow.compat.v1.Session")
    for line, name in zip(said[1:], wanted, strict=True):
        assert line.startswith(f"{name}: TensorFlow is not installed, and fkeras stands in for tensorflow.keras alone.")
    assert "keras.ops.matmul may be what you need" in said[1] and "may be" not in said[3]


def test_missing_names_say_so_in_every_form_of_import():
    said = run(
        """
        import fkeras.as_keras, keras

        for line in (
            "keras.layers.Dens", "from keras.layers import Dens", "from keras.layers.core import Dens",
            "from keras.activations import rleu", "keras.activations.rleu", 
            "from tensorflow.keras.models import Sequentail",
            "import keras.layer", "from keras import layer", "import keras.quantizers", "keras.quantizers",
            "from keras.layers import TorchModuleWrapper", "keras.dtensor", "keras.optimizers.Adm",
        ):
            try:
                exec(line)
            except (AttributeError, ImportError) as err:
                assert len(str(err)) < 300 and isinstance(err, ImportError) == ("import" in line)
                print(err)
            else:
                raise AssertionError(line)
        """,
        "-W",
        "ignore",
    )
    near = "Did you mean"
    for line, want in zip(
        said.splitlines(),
        [
            *[f"fkeras.layers has no 'Dens'. {near} 'Dense'"] * 3,
            *[f"fkeras.activations has no 'rleu'. {near} 'relu'"] * 2,
            f"fkeras.models has no 'Sequentail'. {near} 'Sequential'",
            *[f"fkeras has no module 'layer'. {near} 'layers'"] * 2,
            "fkeras has no module 'quantizers'. Keras has it; fkeras does not.",
            "fkeras has no 'quantizers'. Keras has it; fkeras does not.",
            "fkeras.layers has no 'TorchModuleWrapper'. Keras has it; fkeras does not.",
            "fkeras has no 'dtensor'.",
            f"fkeras.optimizers has no 'Adm'. {near} 'Adam'",
        ],
        strict=True,
    ):
        assert line.startswith(want)


def test_keras_imported_before_is_replaced_with_a_warning_and_stop_brings_it_back():
    said = run(
        """
        import warnings
        import keras
        from keras.layers import Dense

        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            import fkeras.as_keras
        print(said[0].message)
        real = keras
        import fkeras, keras
        from keras.layers import Dense as Ours
        assert keras is not real and Ours is fkeras.layers.Dense is not Dense
        fkeras.posing.stop()
        import keras
        from keras.layers import Dense as Theirs
        assert keras is real and Theirs is Dense and keras.layers is not fkeras.layers
        fkeras.posing.start()
        import keras
        assert keras.layers is fkeras.layers
        """
    )
    assert "names taken from it earlier are still Keras's" in said and "put `import fkeras.as_keras` first" in said
    assert len(said) < 300


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="TensorFlow has no builds for this Python")
def test_an_installed_tensorflow_keeps_everything_but_its_keras():
    said = run(
        """
        import fkeras.as_keras
        import tensorflow as tf
        import fkeras, keras
        from tensorflow.python.keras.layers import Dense
        from tensorflow.python.keras import backend as K

        assert tf.keras is keras and Dense is fkeras.layers.Dense and K is fkeras.backend
        data = tf.data.Dataset.from_tensor_slices((tf.ones((6, 3)), tf.zeros((6, 1)))).batch(3)
        model = tf.keras.Sequential([tf.keras.layers.Dense(1, kernel_initializer="ones")])
        model.compile("sgd", "mse")
        print(model.evaluate(data, verbose=0), tf.constant(3).numpy(), tf.compat.v1.Session.__module__)
        """
    )
    assert said.startswith("9.0 3 tensorflow")


@pytest.mark.filterwarnings("ignore:keras.* is called:DeprecationWarning")
def test_every_old_path_leads_to_modules_that_exist():
    for path, homes in keras_paths.PATHS.items():
        found = keras_paths.resolve(path)
        for home in homes:
            shown = next(iter(fkeras.layers.__all__ if home == "layers" else dir(keras_paths.module(home))))
            assert getattr(found, shown) is not None, path


def test_an_old_path_warns_at_the_line_that_uses_it_and_the_setting_silences_it():
    with pytest.warns(DeprecationWarning, match=r"^keras.engine.topology is called keras.layers and ") as said:
        assert keras_paths.resolve("engine.topology").Layer is fkeras.layers.Layer
    assert said[0].filename == __file__
    fkeras.config.disable_old_spelling_warning()
    try:
        assert keras_paths.resolve("engine.topology").Layer is fkeras.layers.Layer
        assert fkeras.layers.Dense(output_dim=3).units == 3
    finally:
        fkeras.config.enable_old_spelling_warning()
    with pytest.warns(DeprecationWarning, match=r"^Dense\(output_dim=, init=\) is called Dense\(units=, kernel_init"):
        fkeras.layers.Dense(output_dim=3, init="uniform")

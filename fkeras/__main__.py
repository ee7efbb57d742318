"""`python -m fkeras`: a demonstration, `run` for scripts that import Keras, `check` for what they use.

python -m fkeras                      trains a small CNN on real digits, saves it, loads it back, shows what it reads
python -m fkeras run script.py ...    runs an unchanged script, with its arguments: `import keras` gives fkeras
python -m fkeras check PATHS          lists the names of Keras that .py, .ipynb and folders use and fkeras lacks
"""

import pathlib
import runpy
import shutil
import sys
import time

import jax
import numpy as np

import fkeras
from fkeras.layers import Conv2D, Dense, Dropout, Flatten, MaxPooling2D

SHADES = " .:-=+*#%@"


def main(arguments=()):
    """Does what the words after `python -m fkeras` say; returns the exit code."""
    command, *rest = arguments or ("demo",)
    if command == "demo" and not rest:
        return demo()
    if command == "run" and rest and not rest[0].startswith("-"):
        return run(*rest)
    if command == "check" and rest:
        from fkeras import check

        try:
            return check.main(rest)
        except FileNotFoundError as err:
            print(err, file=sys.stderr)
            return 2
    print(__doc__.partition("\n\n")[2], end="", file=sys.stderr if command not in ("-h", "--help") else sys.stdout)
    return 0 if command in ("-h", "--help") else 2


def run(script, *arguments):
    """Runs a script as `python script.py` would, except that Keras is fkeras."""
    if not pathlib.Path(script).is_file():
        print(f"run: there is no file {script!r}.", file=sys.stderr)
        return 2
    import fkeras.as_keras  # noqa: F401

    sys.argv = [script, *arguments]
    sys.path[0] = str(pathlib.Path(script).resolve().parent)
    runpy.run_path(script, run_name="__main__")
    return 0


def demo():
    """Trains a small CNN on real digits, saves it, loads it back and shows what it reads."""
    fkeras.utils.set_random_seed(0)
    device = jax.devices()[0]
    print(f"fkeras {fkeras.__version__} on {device.platform} ({device.device_kind}), JAX {jax.__version__}\n")
    (x_train, y_train), (x_test, y_test) = fkeras.datasets.digits.load_data()
    x_train, x_test = (x[..., None].astype("float32") / 16 for x in (x_train, x_test))

    model = fkeras.Sequential(
        [
            Conv2D(32, 3, activation="relu", padding="same", input_shape=(8, 8, 1)),
            MaxPooling2D(),
            Conv2D(64, 3, activation="relu", padding="same"),
            Flatten(),
            Dropout(0.3),
            Dense(10, activation="softmax"),
        ]
    )
    model.summary()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    start = time.perf_counter()
    model.fit(x_train, y_train, batch_size=32, epochs=12, validation_split=0.1)
    loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"\nTrained in {time.perf_counter() - start:.1f} s. Held-out rows: loss {loss:.4f}, accuracy {accuracy:.1%}")

    model.save("digits.h5")
    loaded = fkeras.models.load_model("digits.h5")
    same = np.array_equal(model.predict(x_test, verbose=0), loaded.predict(x_test, verbose=0))
    print(f"Saved digits.h5 and loaded it back: predictions are {'equal' if same else 'NOT equal'}.\n")
    many = max(1, (shutil.get_terminal_size((80, 24)).columns + 1) // (2 * x_test.shape[2] + 2))
    many = min(many, 6)
    show(x_test[:many, ..., 0], loaded.predict(x_test[:many], verbose=0), y_test[:many])


def show(images, probabilities, labels):
    """Prints the digits side by side, drawn as text, with what was predicted below each."""
    for y in range(images.shape[1]):
        rows = ("".join(SHADES[round(float(v) * (len(SHADES) - 1))] * 2 for v in image[y]) for image in images)
        print("  ".join(rows).rstrip())
    answers = [f"{p.argmax()} ({p.max():.0%}), is {label}" for p, label in zip(probabilities, labels, strict=True)]
    print("  ".join(answer.ljust(2 * images.shape[2]) for answer in answers).rstrip())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Training on pictures that are varied anew in each step, and reading a folder of JPEGs, beside Keras.

    python -m benchmarks.augment [--quick] [--peers fkeras,keras-jax,keras-tensorflow]

The same program runs in a process of its own for each peer, several times in turn; what is printed are medians over the
rounds, and the ratio of fkeras to each peer within a round.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

PEERS = ("fkeras", "keras-jax", "keras-tensorflow")
SHOWN = {"small": "steps/s, 64 of 32 x 32", "large": "steps/s, 8 of 224 x 224", "folder": "pictures/s of a folder"}
STEPS = {"small": 40, "large": 6}
BATCH = {"small": 64, "large": 8}
SIDE = {"small": 32, "large": 224}


def keras_of(peer):
    """Returns the package that a peer is."""
    if peer == "fkeras":
        import fkeras

        return fkeras
    os.environ["KERAS_BACKEND"] = peer.partition("-")[2]
    import keras

    return keras


def model_of(keras, side):
    """A CNN behind flip, rotation, contrast and zoom."""
    L = keras.layers
    convolutions = [L.Conv2D(n, 3, strides=2, activation="relu") for n in (16, 32, 64)]
    model = keras.Sequential(
        [
            L.Input((side, side, 3)),
            L.RandomFlip("horizontal"),
            L.RandomRotation(0.1),
            L.RandomContrast(0.2),
            L.RandomZoom(0.2),
            L.Rescaling(1 / 255),
            *convolutions,
            L.GlobalAveragePooling2D(),
            L.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def write_pictures(folder, count, height=375, width=500):
    """Writes JPEGs of two classes, of about the detail of photographs."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    for i in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        fine = np.asarray(coarse.resize((width, height), Image.BICUBIC)) + random.normal(0, 8, (height, width, 3))
        path = pathlib.Path(folder, "ab"[i % 2], f"{i:05d}.jpg")
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.clip(fine, 0, 255).astype(np.uint8)).save(path, quality=90)


def measure(peer, what, folder, scale):
    """Returns the rate of one peer: steps or pictures in a second."""
    import numpy as np

    keras = keras_of(peer)
    if what == "folder":
        data = keras.utils.image_dataset_from_directory(folder, image_size=(224, 224), batch_size=32, seed=0)
        list(data.take(1))  # what is made once
        start = time.perf_counter()
        count = sum(len(images) for images, _ in data)
        return count / (time.perf_counter() - start)
    side, batch, steps = SIDE[what], BATCH[what], max(2, int(STEPS[what] * scale))
    random = np.random.default_rng(0)
    x = random.uniform(0, 255, (batch * steps, side, side, 3)).astype("float32")
    y = random.integers(0, 10, len(x))
    model = model_of(keras, side)
    model.fit(x, y, batch_size=batch, verbose=0)  # compiles
    start = time.perf_counter()
    model.fit(x, y, batch_size=batch, verbose=0)
    return steps / (time.perf_counter() - start)


def run(peers, whats, rounds, pictures, scale):
    """Returns {what: {peer: [rate of each round]}}; each rate comes from a process of its own."""
    found = {what: {peer: [] for peer in peers} for what in whats}
    with tempfile.TemporaryDirectory() as folder:
        if "folder" in whats:
            write_pictures(folder, pictures)
        for _ in range(rounds):
            for what in whats:
                for peer in peers:
                    given = json.dumps([peer, what, folder, scale])
                    command = [sys.executable, "-m", "benchmarks.augment", "--worker", given]
                    env = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
                    out = subprocess.run(command, capture_output=True, text=True, env=env)
                    if out.returncode:
                        raise RuntimeError(f"{peer}, {what}: {out.stderr[-1000:]}")
                    found[what][peer].append(json.loads(out.stdout.splitlines()[-1]))
    return found


def table(found):
    """Returns the medians as Markdown, with the ratio of fkeras to each of the others within a round."""
    peers = list(next(iter(found.values())))
    lines = ["| | " + " | ".join(peers) + " |", "|---" * (len(peers) + 1) + "|"]
    for what, rates in found.items():
        cells = []
        for peer in peers:
            ratio = statistics.median(a / b for a, b in zip(rates["fkeras"], rates[peer], strict=True))
            said = "" if peer == "fkeras" else f" ({ratio:.2f}x)"
            cells.append(f"{statistics.median(rates[peer]):.4g}{said}")
        lines.append(f"| {SHOWN[what]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(given=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--what", default=",".join(SHOWN))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args(given)
    if options.worker:
        print(json.dumps(measure(*json.loads(options.worker))))
        return None
    rounds, pictures, scale = (1, 64, 0.1) if options.quick else (options.rounds, options.pictures, 1)
    found = run(options.peers.split(","), options.what.split(","), rounds, pictures, scale)
    print(table(found))
    return found


if __name__ == "__main__":
    main()

"""A folder of pictures, few of each class: what a network that has seen other pictures brings along, and varying them.

The trunk learns the digits 0 to 6 from a thousand pictures. Then three pictures of each of 7, 8 and 9 have to do.
With so few it is luck which ones they are: try others, or more (`--few`).
"""

import argparse
import pathlib
import tempfile

import numpy as np

import fkeras
from fkeras import Input, Sequential
from fkeras.layers import (
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    GlobalMaxPooling2D,
    RandomContrast,
    RandomRotation,
    RandomTranslation,
    RandomZoom,
    Rescaling,
)

SIDE = 16  # pixels of the network's input; the files have half of it


def write_folder(folder, images, labels):
    """Writes pictures as people have them: a folder for each class, a PNG file for each picture."""
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = folder / f"digit {label}" / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        fkeras.utils.save_img(path, image[..., None] * (255 / 16), scale=False)


def read_folder(folder, batch_size=32, shuffle=True):
    """Returns batches (pictures [B, 16, 16, 1] from 0 to 255, classes)."""
    return fkeras.utils.image_dataset_from_directory(
        folder,
        color_mode="grayscale",
        image_size=(SIDE, SIDE),
        batch_size=batch_size,
        shuffle=shuffle,
        seed=0,
        verbose=False,
    )


def varied(model):
    """The model behind layers that turn, move, zoom and light pictures anew in each step of training."""
    return Sequential(
        [
            Input((SIDE, SIDE, 1)),
            RandomRotation(0.04, fill_mode="constant"),
            RandomTranslation(0.1, 0.1, fill_mode="constant"),
            RandomZoom(0.15, fill_mode="constant"),
            RandomContrast(0.3),
            model,
        ]
    )


def new_trunk():
    """Pictures in, 64 features out."""
    return Sequential(
        [
            Input((SIDE, SIDE, 1)),
            Rescaling(1 / 127.5, offset=-1),
            *(
                part
                for n in (16, 32, 64)
                for part in (Conv2D(n, 3, activation="relu"), BatchNormalization(momentum=0.9))
            ),
            GlobalMaxPooling2D(),
        ],
        name="trunk",
    )


def classifier(trunk, classes, frozen=False):
    """A head for some classes on a trunk, which learns no more if it is frozen."""
    trunk.trainable = not frozen
    return varied(Sequential([trunk, Dropout(0.3), Dense(classes, activation="softmax")]))


def train(model, data, unseen, epochs, rate=3e-3):
    model.compile(fkeras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model.fit(data, validation_data=unseen, epochs=epochs, verbose=0).history


def main(epochs=(12, 40), few=3, out="."):
    fkeras.utils.set_random_seed(0)
    out = pathlib.Path(out)
    (x, y), (x_test, y_test) = fkeras.datasets.digits.load_data()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        first = np.concatenate([np.flatnonzero(y == digit)[:few] for digit in range(7, 10)])
        write_folder(folder / "many", x[y < 7], y[y < 7])
        write_folder(folder / "few", x[first], y[first])
        write_folder(folder / "unseen", x_test[y_test >= 7], y_test[y_test >= 7])

        trunk = new_trunk()
        train(classifier(trunk, 7), read_folder(folder / "many"), None, epochs[0])
        trunk.save(folder / "trunk.keras")

        data, unseen = read_folder(folder / "few", 4).cache(), read_folder(folder / "unseen", shuffle=False).cache()
        models = {
            "from scratch": classifier(new_trunk(), 3),
            "on the trunk": classifier(fkeras.models.load_model(folder / "trunk.keras"), 3, frozen=True),
        }
        rates = {"from scratch": 3e-3, "on the trunk": 2e-2}  # a head alone takes larger steps
        histories = {name: train(model, data, unseen, epochs[1], rates[name]) for name, model in models.items()}
        pictures, labels = (np.concatenate(parts) for parts in zip(*unseen, strict=True))
        found = models["on the trunk"].predict(pictures, verbose=0).argmax(-1)
        accuracy = {name: history["val_accuracy"][-1] for name, history in histories.items()}
        print(f"{few} pictures of each class; right of {len(labels)} unseen ones:",
              ", ".join(f"{name} {share:.1%}" for name, share in accuracy.items()))  # fmt: skip
        picture(pictures, labels, found, data.class_names, histories, models["on the trunk"], out / "images.png")
    return accuracy


def picture(pictures, labels, found, names, histories, model, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    fig = plt.figure(figsize=(9, 4), layout="constrained")
    left, right = fig.subfigures(1, 2, width_ratios=(1.1, 1))
    axes = left.subplots(4, 6)
    vary = Sequential([Input((SIDE, SIDE, 1)), *model.layers[:-1]])
    for ax in axes[0]:
        ax.imshow(vary(pictures[:1], training=True)[0, ..., 0], cmap="gray", vmin=0, vmax=255)
    axes[0, 0].set_title("one picture, varied", fontsize=9, loc="left")
    wrong = np.flatnonzero(found != labels)
    shown = [*wrong[:6], *np.flatnonzero(found == labels)[:: len(labels) // 18]]
    for ax, i in zip(axes[1:].flat, shown, strict=False):
        ax.imshow(pictures[i, ..., 0], cmap="gray")
        said = names[found[i]].split()[-1]
        ax.set_title(said, fontsize=9, color="#aa3377" if i in wrong else "#228833", pad=1)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
    ax = right.subplots()
    for (name, history), color in zip(histories.items(), ("#bbbbbb", "#4477aa"), strict=True):
        ax.plot(history["val_accuracy"], color=color, label=name)
    ax.set(xlabel="epoch", ylabel="unseen pictures right", ylim=(0, 1))
    ax.legend(loc="lower right", frameon=False)
    left.supxlabel("said of unseen pictures (red: wrong)", fontsize=9)
    fig.savefig(path, dpi=110)
    plt.close(fig)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, nargs=2, default=(12, 40), help="of the trunk, and of the classifiers")
    parser.add_argument("--few", type=int, default=3, help="pictures of each new class")
    parser.add_argument("--out", default=".", help="folder of the picture, images.png")
    options = parser.parse_args()
    main(options.epochs, options.few, options.out)

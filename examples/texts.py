"""Who wrote the disputed essays of "The Federalist"? Text in, an author out; the model is saved with its words.

Mosteller and Wallace counted words by hand in 1963; here a network does (see fkeras/datasets/FEDERALIST.md).
"""

import argparse
import pathlib
import tempfile

import numpy as np

import fkeras
from fkeras.layers import Dense, Dropout, Input, TextVectorization


def author(texts, words=300):
    """A model from strings to the probability that Madison wrote them: it weighs how often the commonest words come."""
    vectorize = TextVectorization(max_tokens=words, output_mode="count")
    vectorize.adapt(texts)
    return fkeras.Sequential(
        [
            Input((1,), dtype="string"),
            vectorize,
            Dropout(0.5),
            Dense(1, activation="sigmoid", kernel_regularizer=fkeras.regularizers.L2(1e-3)),
        ]
    )


def main(epochs=30, words=300, out="."):
    fkeras.utils.set_random_seed(0)
    out = pathlib.Path(out)
    (x_train, y_train), (x_test, y_test) = fkeras.datasets.federalist.load_data()
    model = author(x_train, words)
    model.compile(fkeras.optimizers.Adam(3e-3), "binary_crossentropy", metrics=["accuracy"])
    model.fit(x_train, y_train, epochs=epochs, validation_data=(x_test, y_test), verbose=2)

    with tempfile.TemporaryDirectory() as folder:  # elsewhere, later: the file has the vocabulary
        path = pathlib.Path(folder) / "author.keras"
        model.save(path)
        loaded = fkeras.models.load_model(path)
    accuracy = loaded.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]
    passages, papers = fkeras.datasets.federalist.load_disputed()
    madison = loaded.predict(passages, verbose=0)[:, 0]
    shares = {int(p): float(np.mean(madison[papers == p])) for p in np.unique(papers)}
    print(f"passages of unseen essays: {accuracy:.3f} right")
    print("disputed essays, mean probability of Madison:", {p: round(s, 2) for p, s in shares.items()})
    print(loaded.predict(["Upon this ground there is no reason to hesitate."], verbose=0))
    picture(shares, accuracy, out / "texts.png")
    return accuracy, shares


def picture(shares, accuracy, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
    ax.bar(list(map(str, shares)), list(shares.values()), color="#4477aa")
    ax.axhline(0.5, color="#222222", linewidth=1)
    ax.set(ylim=(0, 1), xlabel="disputed essay", ylabel="probability of Madison")
    ax.set_title(f"Above the line Madison, below Hamilton ({accuracy:.0%} of unseen passages right)", fontsize=10)
    fig.savefig(path, dpi=120)
    plt.close(fig)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--out", default=".", help="folder of the picture, texts.png")
    options = parser.parse_args()
    main(options.epochs, out=options.out)

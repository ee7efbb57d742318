"""A table with numbers and categories: each column has its layers, and the model takes the table as it is.

The rows are passages of "The Federalist", described as a clerk could: how long sentences are, how often a comma or the
word "upon" comes, which word the passage begins with, whether it says "while" or "whilst". Who wrote it?
"""

import argparse
import pathlib
import re

import numpy as np

import fkeras
from fkeras import Input, Model
from fkeras.layers import (
    Concatenate,
    Dense,
    Discretization,
    Dropout,
    Embedding,
    Flatten,
    HashedCrossing,
    IntegerLookup,
    Normalization,
    StringLookup,
)

NUMBERS = ("sentence length", "commas", "upon", "there", "on", "by", "of", "to", "an")
CATEGORIES = ("opening", "conjunction")


def table(passages):
    """Describes passages: {column: array}."""
    rows = []
    for text in passages:
        words, low = re.findall(r"[\w']+", text), text.lower()
        per_thousand = lambda n, words=words: 1000 * n / len(words)  # noqa: E731
        said = re.findall(r"[\w']+", low)
        row = {"sentence length": len(words) / max(len(re.findall(r"[.!?]", text)), 1)}
        row["commas"] = per_thousand(text.count(","))
        row |= {word: per_thousand(said.count(word)) for word in NUMBERS[2:]}
        row["opening"] = words[0]
        row["conjunction"] = next((w for w in ("whilst", "while") if w in said), "neither")
        row["sentences"] = len(re.findall(r"[.!?]", text))
        rows.append(row)
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def classifier(columns):
    """A model from a dict of columns to the probability that Madison wrote the passage."""
    inputs = {name: Input((1,), name=name) for name in NUMBERS}
    inputs |= {name: Input((1,), name=name, dtype="string") for name in CATEGORIES}
    inputs["sentences"] = Input((1,), name="sentences", dtype="int32")
    parts = []
    for name in NUMBERS:
        scale = Normalization()
        scale.adapt(columns[name][:, None])
        parts.append(scale(inputs[name]))
    steps = Discretization(num_bins=4)
    steps.adapt(columns["sentence length"])
    length = steps(inputs["sentence length"])

    opening = StringLookup(max_tokens=40)
    opening.adapt(columns["opening"])
    parts.append(Flatten()(Embedding(opening.vocabulary_size(), 3)(opening(inputs["opening"]))))
    conjunction = StringLookup(output_mode="one_hot", num_oov_indices=0)
    conjunction.adapt(columns["conjunction"])
    parts.append(conjunction(inputs["conjunction"]))
    count = IntegerLookup(output_mode="one_hot")
    count.adapt(columns["sentences"])
    parts.append(count(inputs["sentences"]))
    parts.append(HashedCrossing(16, output_mode="one_hot")([length, inputs["sentences"]]))

    hidden = Dropout(0.3)(Dense(24, activation="relu")(Concatenate()(parts)))
    return Model(inputs, Dense(1, activation="sigmoid")(hidden))


def main(epochs=30, out="."):
    fkeras.utils.set_random_seed(0)
    out = pathlib.Path(out)
    (x_train, y_train), (x_test, y_test) = fkeras.datasets.federalist.load_data()
    train, test = table(x_train), table(x_test)
    model = classifier(train)
    model.compile(fkeras.optimizers.Adam(3e-3), "binary_crossentropy", metrics=["accuracy", "auc"])
    history = model.fit(train, y_train, epochs=epochs, validation_data=(test, y_test), verbose=2)
    found = model.evaluate(test, y_test, verbose=0, return_dict=True)

    worse = {}
    random = np.random.default_rng(0)
    for name in test:  # how much a column counts: how much is lost when its values change places
        shuffled = test | {name: random.permutation(test[name])}
        worse[name] = model.evaluate(shuffled, y_test, verbose=0, return_dict=True)["loss"] - found["loss"]
    print(f"passages of unseen essays: {found['accuracy']:.3f} right, auc {found['auc']:.3f}")
    print("loss added by mixing a column up:", {n: round(v, 3) for n, v in sorted(worse.items(), key=lambda i: -i[1])})
    first = {name: column[:1] for name, column in test.items()}
    print("the first row:", {n: str(v[0]) for n, v in first.items()}, model.predict(first, verbose=0))
    picture(history.history, worse, out / "table.png")
    return found, worse


def picture(history, worse, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for name, label in (("loss", "known essays"), ("val_loss", "unseen essays")):
        left.plot(range(1, len(history[name]) + 1), history[name], label=label)
    left.set(xlabel="epoch", ylabel="loss")
    left.legend(frameon=False)
    names = sorted(worse, key=worse.get)
    right.barh(names, [worse[n] for n in names], color="#4477aa")
    right.set_xlabel("loss added by mixing a column up")
    fig.savefig(path, dpi=120)
    plt.close(fig)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--out", default=".", help="folder of the picture, table.png")
    options = parser.parse_args()
    main(options.epochs, options.out)

"""A small GPT learns Shakespeare letter by letter, then writes on (Radford et al., 2018, in miniature)."""

import argparse
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

import fkeras
from fkeras import Input, Model
from fkeras.layers import Add, Dense, Dropout, Embedding, Layer, LayerNormalization, Weight
from fkeras.layers.attention import MultiHeadAttention

TEXT = pathlib.Path(__file__).parent / "data" / "sonnets.txt"


class Positions(Layer):
    """Adds a trained vector to each step: a layer of one's own is a declaration and a pure function."""

    def declare(self, shape):
        return {"positions": Weight(shape[1:], "random_normal")}

    def forward(self, params, state, x, ctx):
        return x + params["positions"], state


def gpt(letters, length, width=64, heads=4, blocks=2, dropout=0.1):
    """A model from [B, length] letters to [B, length, letters]: logits of the letter that comes next."""
    tokens = Input((length,), dtype="int32")
    x = Positions()(Embedding(letters, width)(tokens))
    for _ in range(blocks):
        h = LayerNormalization()(x)
        h = MultiHeadAttention(heads, width // heads)(h, h, use_causal_mask=True)
        x = Add()([x, Dropout(dropout)(h)])
        h = Dense(4 * width, activation="gelu")(LayerNormalization()(x))
        x = Add()([x, Dropout(dropout)(Dense(width)(h))])
    return Model(tokens, Dense(letters)(LayerNormalization()(x)))


def windows(data, length, count, seed=0):
    """Cuts `count` pieces at random: the letters, and for each the letter that follows it."""
    starts = np.random.default_rng(seed).integers(0, len(data) - length, count)
    pieces = data[starts[:, None] + np.arange(length + 1)]
    return pieces[:, :-1], pieces[:, 1:]


def sample(model, prompt, count, temperature=0.7, seed=0):
    """Writes on: returns `prompt` [n] and `count` drawn letters, all drawn in one compiled loop."""
    params, state, length = model.params, model.state, model.input_shape[1]
    prompt = jnp.asarray(prompt[-length:])
    window = jnp.zeros(length, prompt.dtype).at[: len(prompt)].set(prompt)  # what is behind the last letter is not seen

    def write(carry, key):
        window, n = carry
        logits, _ = model.apply(params, state, window[None])
        letter = jax.random.categorical(key, logits[0, n - 1] / temperature).astype(window.dtype)
        full = n == length
        window = jnp.where(full, jnp.roll(window, -1), window).at[jnp.where(full, n - 1, n)].set(letter)
        return (window, jnp.minimum(n + 1, length)), letter

    keys = jax.random.split(jax.random.key(seed), count)
    _, drawn = jax.jit(lambda w, n, keys: jax.lax.scan(write, (w, n), keys))(window, len(prompt), keys)
    return np.concatenate([np.asarray(prompt), np.asarray(drawn)])


def main(steps=600, length=64, batch=32, epochs=10, letters_out=400, **sizes):
    fkeras.utils.set_random_seed(0)
    text = TEXT.read_text()
    alphabet = sorted(set(text))
    data = np.array([alphabet.index(c) for c in text], "int32")
    split = int(0.9 * len(data))
    train, unseen = (
        windows(data[:split], length, max(1, steps // epochs) * batch),
        windows(data[split:], length, 4 * batch),
    )

    model = gpt(len(alphabet), length, **sizes)
    model.compile(
        optimizer=fkeras.optimizers.Adam(2e-3, clipnorm=1.0),
        loss=fkeras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    print(f"{model.count_params():,} numbers learn {len(text):,} letters; guessing costs {np.log(len(alphabet)):.2f}")
    history = model.fit(*train, batch_size=batch, epochs=epochs, validation_data=unseen, verbose=2)

    prompt = np.array([alphabet.index(c) for c in "When I "], "int32")
    written = "".join(alphabet[i] for i in sample(model, prompt, letters_out))
    print(written)
    return history.history, written


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=600, help="training steps in all")
    parser.add_argument("--length", type=int, default=64, help="letters the model looks back on")
    options = parser.parse_args()
    main(options.steps, options.length)

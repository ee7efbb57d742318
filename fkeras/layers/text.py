"""Texts become words, and words indices or vectors of counts."""

from typing import Any

import numpy as np

from fkeras.core import dtypes
from fkeras.core.dtypes import STRING
from fkeras.core.settings import choice, get_registered_object, positive_int, setting
from fkeras.layers.contract.base import layers
from fkeras.layers.contract.shapes import Spec
from fkeras.layers.contract.texts import from_utf8, text_array, utf8
from fkeras.layers.lookup import MODES, Vocabulary, VocabularyLayer, encoding_mode, given_vocabulary, most_tokens
from fkeras.layers.preprocessing import dense_only

PUNCTUATION = b"!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'"
_CAPITALS = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"abcdefghijklmnopqrstuvwxyz")

# -------------------------------------------------------------------------------------- pure functions


def standardized(texts, how):
    """Returns texts in small letters, without punctuation, or both. Of letters and signs ASCII's alone, as in Keras.

    Args:
        texts: List of bytes in UTF-8.
        how: "lower", "strip_punctuation", "lower_and_strip_punctuation" or None.

    Example:
        >>> standardized([b"Don't stop, MO!"], "lower_and_strip_punctuation")
        [b'dont stop mo']
    """
    if how is None:
        return texts
    table, without = _CAPITALS if "lower" in how else None, PUNCTUATION if "strip" in how else b""
    return [t.translate(table, without) for t in texts]


def tokens_of(texts, split, ngrams=None):
    """Returns the list of tokens of each text.

    Args:
        texts: List of bytes in UTF-8.
        split: "whitespace" (ASCII's), "character", or None: the whole text is one token.
        ngrams: Sizes of the groups of neighbouring tokens that become tokens too, joined by spaces; None for none.

    Example:
        >>> tokens_of([b"the cat sat"], "whitespace", (1, 2))
        [[b'the', b'cat', b'sat', b'the cat', b'cat sat']]
    """
    if split == "whitespace":
        found = [t.split() for t in texts]
    elif split == "character":
        found = [[c.encode("utf-8", "surrogateescape") for c in from_utf8(t)] for t in texts]
    else:
        found = [[t] for t in texts]
    return [grouped(tokens, ngrams) for tokens in found] if ngrams else found


def grouped(tokens, sizes):
    """Returns the groups of neighbouring tokens, of each size in turn."""
    found = []
    for n in sizes:
        found += tokens if n == 1 else map(b" ".join, zip(*(tokens[i:] for i in range(n)), strict=False))
    return found


def padded(rows, size):
    """Returns lists of indices as int32 [rows, size], cut or filled with zeros at the end."""
    out = np.zeros((len(rows), size), np.int32)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row[:size]
    return out


# ---------------------------------------------------------------------------------------------- layer


def _how(*names):
    """Converter: one of these names, None, a function, or what a file says of one: its registered name."""

    def convert(value):
        if value is None or callable(value) or value in names:
            return value
        if isinstance(value, dict):
            value = value.get("config", value)
        found = get_registered_object(value) if isinstance(value, str) else None
        if callable(found):
            return found
        try:
            return choice(*names)(value)
        except ValueError as err:
            raise ValueError(f"{err} A function of your own goes in itself; of a file, in custom_objects.") from None

    return convert


def _ngrams(value):
    if value is None:
        return None
    if isinstance(value, (list, tuple)):
        return [positive_int(n) for n in value]
    return positive_int(value)


@layers.register
class TextVectorization(VocabularyLayer):
    """Turns texts into indices of their words, or into vectors of how often each word occurs.

    A text is standardized, split into tokens, these are grouped (n-grams), and looked up: 0 fills up, 1 stands for what
    is not in the vocabulary. Vectors have no place for 0.

    Args:
        max_tokens: How many indices there may be, special ones included; None for any number.
        standardize: "lower_and_strip_punctuation", "lower", "strip_punctuation", None, or a function of an array of
            texts that returns one (or a tensor of TensorFlow's).
        split: "whitespace", "character", None (the text is one token), or a function of an array [B] of texts that
            returns their lists of tokens.
        ngrams: Also groups of up to so many neighbouring tokens; a list: of these sizes alone.
        output_mode: "int": indices; "multi_hot", "count", "tf_idf": whether, how often, or how often by its weight each
            token occurs.
        output_sequence_length: How many indices each text gets, cut or filled up; None: as many as the longest of its
            batch.
        pad_to_max_tokens: Vectors of max_tokens, however many tokens there are.
        vocabulary: List, array, or path of a file with a token in each line; None to learn it by `adapt`.
        idf_weights: A weight for each token, with output_mode="tf_idf".
        sparse, ragged: Only False: JAX has dense arrays alone.
        encoding: Of bytes.

    Input shape: [B] or [B, 1], or a single text. Output shape: [B, T], or [B, tokens].

    It runs on the host, ahead of the compiled part of a model (see ARCHITECTURE.md); models are saved with it.

    Example:
        >>> layer = TextVectorization(output_sequence_length=4)
        >>> layer.adapt(["the cat sat", "the dog"])
        >>> layer.get_vocabulary()
        ['', '[UNK]', 'the', 'sat', 'dog', 'cat']
        >>> layer(["The cow sat."]).tolist()
        [[2, 1, 3, 0]]

    Reference:
        As Keras 3: among tokens of equal frequency, the larger one comes first.
    """

    max_tokens: Any = setting(most_tokens, None)
    standardize: Any = setting(
        _how("lower_and_strip_punctuation", "lower", "strip_punctuation"), "lower_and_strip_punctuation"
    )
    split: Any = setting(_how("whitespace", "character"), "whitespace")
    ngrams: Any = setting(_ngrams, None)
    output_mode: str = setting(encoding_mode(*(m for m in MODES if m != "one_hot")), "int")
    output_sequence_length: Any = setting(lambda n: None if n is None else positive_int(n), None)
    pad_to_max_tokens: bool = False
    vocabulary: Any = setting(given_vocabulary, None)
    idf_weights: Any = None
    sparse: bool = setting(dense_only, False)
    ragged: bool = setting(dense_only, False)
    encoding: str = "utf-8"
    name: str = setting(default=None)

    def check(self):
        if self.output_sequence_length is not None and self.output_mode != "int":
            raise ValueError(
                f"{self.label}: output_sequence_length goes with output_mode='int', this is {self.output_mode!r}."
            )
        self._begin(Vocabulary(self.label, False, "", "[UNK]", self.output_mode, 1, self.max_tokens))

    def check_input(self, shape):
        if self.split is not None and (len(shape) > 2 or (len(shape) == 2 and shape[1] != 1)):
            raise ValueError(f"{self.label}: expected texts of shape [B] or [B, 1], got {tuple(shape)}.")

    def host(self, x):
        x = text_array(x, f"the input of {self.label}")
        self.check_input(x.shape)
        if self.split is None:  # every text is a token
            keys = utf8(self._standardized(x), self.encoding)
            indices = self._vocabulary.indices(keys).reshape(x.shape)
            if self.output_mode == "int" and self.output_sequence_length is not None and x.ndim == 2:
                indices = padded(indices, self.output_sequence_length)
            return self._encoded(indices)
        rows = self._tokens(x)
        flat = self._vocabulary.indices([token for row in rows for token in row])
        ends = np.cumsum([len(row) for row in rows])
        longest = max(map(len, rows), default=0)
        size = self.output_sequence_length if self.output_mode == "int" else longest
        numbers = np.split(flat, ends[:-1])
        if self.output_mode == "int":
            out = padded(numbers, longest if size is None else size)
        else:
            rows_of = np.repeat(np.arange(len(rows)), np.diff(ends, prepend=0))
            out = self._counted(flat, rows_of, len(rows))
        return out[0] if x.ndim == 0 else out

    def _counted(self, indices, rows, count):
        """Returns the vectors [count, tokens] of indices that lie in these rows."""
        width, mode = self._width(), self.output_mode
        out = np.zeros((count, width), self.dtype.compute_dtype)
        real = indices >= 0
        at = rows[real], indices[real]
        if mode == "multi_hot":
            out[at] = 1
        else:
            np.add.at(out, at, 1)
        return out * self._vocabulary.weights(width).astype(out.dtype) if mode == "tf_idf" else out

    def _standardized(self, x):
        """Returns an array of standardized texts in the shape of `x`."""
        if callable(self.standardize):
            texts = np.array([from_utf8(t) for t in utf8(x, self.encoding)]).reshape(x.shape)
            return text_array(self.standardize(texts), f"what standardize of {self.label} returns")
        out = np.empty(x.size, object)
        out[:] = standardized(utf8(x, self.encoding), self.standardize)
        return out.reshape(x.shape)

    def _tokens(self, x):
        """Returns the list of tokens, in UTF-8, of each text of an array."""
        x = self._standardized(x)
        sizes = self.ngrams if isinstance(self.ngrams, list) else self.ngrams and range(1, self.ngrams + 1)
        if not callable(self.split):
            return tokens_of(utf8(x), self.split, sizes)
        texts = np.array([from_utf8(t) for t in utf8(x)])
        found = self.split(texts)
        found = found.to_list() if hasattr(found, "to_list") else found.numpy() if hasattr(found, "numpy") else found
        rows = [utf8(np.array(list(row), object)) for row in found]
        if len(rows) != len(texts):
            raise ValueError(
                f"{self.label}: split returned tokens for {len(rows)} texts, expected {len(texts)}: a list of tokens "
                f"for each text."
            )
        return [grouped(row, sizes) for row in rows] if sizes else rows

    def _documents(self, batches):
        for batch in batches:
            self.check_input(batch.shape)
            if self.split is None:
                yield from ([token] for token in utf8(self._standardized(batch), self.encoding))
            else:
                yield from self._tokens(batch)

    def host_spec(self, x):
        if x.dtype != STRING:
            raise TypeError(
                f"{self.label}: expected a symbol that stands for text, got {dtypes.dtype_name(x.dtype)}. Begin with "
                f"Input((1,), dtype='string')."
            )
        self.check_input(x.shape)
        if self.output_mode != "int":
            return Spec((*x.shape[:1], self._width()), self.dtype.compute_dtype)
        if self.split is None:
            return Spec(x.shape, "int32")
        return Spec((*x.shape[:1], self.output_sequence_length), "int32")

"""Vocabularies: texts or whole numbers become indices, or vectors of categories, and back."""

import collections
import os
import warnings
from typing import Any

import jax.numpy as jnp
import numpy as np

from fkeras.core import dtypes
from fkeras.core.dtypes import STRING
from fkeras.core.settings import choice, positive_int, seed_or_none, setting, shortened
from fkeras.layers.contract.base import layers
from fkeras.layers.contract.host import HostLayer
from fkeras.layers.contract.shapes import Spec
from fkeras.layers.contract.texts import batches_of, from_utf8, is_text, text_array, utf8
from fkeras.layers.kernels import hashing
from fkeras.layers.preprocessing import dense_only, encode_categories, encode_on_host, encoded_shape, sorted_place

MODES = ("int", "one_hot", "multi_hot", "count", "tf_idf")
FEW = 1 << 31  # indices and numbers of bins fit 32 bits
MOST_SHARED = 1 << 20  # indices that unknown tokens share

# -------------------------------------------------------------------------------------- pure functions


def inverse_frequency(documents, holding):
    """Returns the weights of tokens by how rare they are among documents.

        idf = log(1 + N / (1 + n))

    Args:
        documents: N, how many documents there are.
        holding: Array of n, how many of them hold each token.

    Example:
        >>> inverse_frequency(3, np.array([2, 1])).tolist()
        [0.693147..., 0.916290...]
    """
    return np.log(1 + documents / (1 + np.asarray(holding))).astype(np.float32)


def most_frequent(counts, most=None):
    """Returns the tokens of a dict {token: count}, the most frequent first; of equal ones, the larger token first."""
    ranked = sorted(counts.items(), key=lambda item: (item[1], item[0]), reverse=True)
    return [token for token, _ in ranked[:most]]


def read_salt(value):
    """Converter: the key of SipHash, one int for both of its numbers, or two; None for none."""
    if value is None:
        return None
    key = [value, value] if np.ndim(value) == 0 else list(value)
    if len(key) != 2 or any(isinstance(k, bool) or not hasattr(k, "__index__") for k in key):
        raise ValueError(f"expected an int or two ints, got {value!r}.")
    return [int(k) for k in key]


class Vocabulary:
    """Tokens and their indices: special ones first, then those that were given or learned.

    Args:
        label: Of the layer, for messages.
        whole: Whether tokens are whole numbers, and not bytes of UTF-8.
        mask, oov: The special tokens; None for no mask.
        mode: Of the output: only "int" has an index for the mask.
        oov_count: How many indices unknown tokens share.
        most: How many indices there may be, special ones included; None for any number.
        salt, method: How unknown tokens share several indices.
    """

    def __init__(self, label, whole, mask, oov, mode, oov_count, most, salt=None, method="farmhash"):
        self.label, self.whole, self.mask, self.oov, self.mode = label, whole, mask, oov, mode
        self.oov_count, self.most, self.salt, self.method = oov_count, most, salt, method
        self.specials = [mask] * (mask is not None and mode == "int") + [oov] * oov_count
        self.first_oov = len(self.specials) - oov_count
        self.tokens, self.index, self.idf = None, {}, None
        self.expected, self.elsewhere = None, None  # size and path of one that a file names and does not hold

    def __len__(self):
        if self.tokens is None:
            return self.expected or len(self.specials)
        return len(self.specials) + len(self.tokens)

    def key(self, token):
        """Returns a token in the form that is looked up."""
        return int(token) if self.whole else utf8(token)[0]

    def set(self, tokens, idf=None):
        """Takes tokens, without the special ones or with them at the beginning."""
        tokens = list(tokens)
        if not tokens:
            raise ValueError(f"{self.label}: the vocabulary is empty; expected at least one token.")
        wrong = next((t for t in tokens if not self._is_token(t)), None)
        if wrong is not None:
            kind = "whole numbers" if self.whole else "texts"
            raise ValueError(f"{self.label}: expected a vocabulary of {kind}, got {wrong!r} ({type(wrong).__name__}).")
        keys = [self.key(t) for t in tokens]
        skip = len(self.specials)
        if not skip or keys[:skip] != [self.key(t) for t in self.specials]:
            skip = 0
        keys, given = keys[skip:], idf
        if len(set(keys)) < len(keys):
            twice = next(k for k, n in collections.Counter(keys).items() if n > 1)
            raise ValueError(f"{self.label}: the vocabulary has {self.shown(twice)!r} twice. Give each token once.")
        if self.mask is not None and self.key(self.mask) in keys:
            raise ValueError(
                f"{self.label}: the vocabulary holds the mask_token {self.mask!r}. Leave special tokens out, or give "
                f"all of them first: {shortened(self.specials)}."
            )
        if self.most is not None and len(self.specials) + len(keys) > self.most:
            raise ValueError(
                f"{self.label}: max_tokens={self.most}, got a vocabulary of {len(keys)} tokens and "
                f"{len(self.specials)} special ones. Leave the rarest out, or give a larger max_tokens."
            )
        if (self.mode == "tf_idf") != (idf is not None):
            need = "needs idf_weights beside its vocabulary" if idf is None else "takes no idf_weights"
            raise ValueError(f"{self.label}: output_mode={self.mode!r} {need}.")
        if idf is not None:
            idf = np.asarray(idf, np.float32)
            if idf.shape not in ((len(keys),), (len(tokens),)):
                raise ValueError(
                    f"{self.label}: expected one of idf_weights for each token, {len(keys)}, got shape "
                    f"{np.shape(given)}."
                )
            idf = idf[len(idf) - len(keys) :]
        self.tokens, self.idf = keys, idf
        self.index = {k: i for i, k in enumerate(keys, len(self.specials))}
        self.__dict__.pop("table", None)

    def _is_token(self, token):
        if self.whole:
            return not isinstance(token, (bool, str, bytes)) and hasattr(token, "__int__") and int(token) == token
        return isinstance(token, (str, bytes))

    def shown(self, key):
        """Returns a token as users see it."""
        return key if self.whole else from_utf8(key, "replace")

    def all(self, specials=True):
        """Returns the list of tokens, with or without the special ones."""
        found = [self.shown(k) for k in self.tokens or ()]
        return self.specials + found if specials else found

    def stored(self):
        """Returns the list of tokens without the special ones as configs hold them, or None."""
        return None if self.tokens is None else [k if self.whole else from_utf8(k) for k in self.tokens]

    def learn(self, documents):
        """Takes the vocabulary from an iterable of documents, lists of keys.

        Where documents come as None, they are counted and hold nothing.
        """
        counts, holding, number = collections.Counter(), collections.Counter(), 0
        for document in documents:
            number += 1
            counts.update(document)
            if self.mode == "tf_idf":
                holding.update(set(document))
        if not number:
            raise ValueError(f"{self.label}: adapt expected at least one batch of data, got none.")
        for token in {self.mask, self.oov} - {None}:
            counts.pop(self.key(token), None)
        room = None if self.most is None else max(self.most - len(self.specials), 0)
        found = most_frequent(counts, room)
        if not found:
            raise ValueError(f"{self.label}: adapt found no token in the data. Are all of them empty or special?")
        self.set(found, inverse_frequency(number, [holding[k] for k in found]) if self.mode == "tf_idf" else None)

    def require(self):
        """Raises ValueError if there is no vocabulary yet."""
        if self.tokens is None:
            why = f" Its file names {self.elsewhere!r}, which is not read." if self.elsewhere else ""
            hint = "set_vocabulary(path)" if self.elsewhere else "adapt(data) or set_vocabulary(tokens)"
            raise ValueError(f"{self.label} has no vocabulary yet: call {hint}.{why}")

    def indices(self, keys):
        """Returns the indices of a list of keys, as int32 array; -1 for the mask where it has no index."""
        self.require()
        get = self.index.get
        found = np.fromiter((get(k, -2) for k in keys), np.int64, len(keys))
        unknown = np.flatnonzero(found == -2)
        if self.mask is not None and len(unknown):
            mask = self.key(self.mask)
            masked = np.fromiter((keys[i] == mask for i in unknown), bool, len(unknown))
            found[unknown[masked]] = 0 if self.mode == "int" else -1
            unknown = unknown[~masked]
        if len(unknown):
            found[unknown] = self.first_oov + self._shared([keys[i] for i in unknown])
        return found.astype(np.int32)

    def _shared(self, keys):
        """Returns which of the indices of unknown tokens each key takes."""
        if self.oov_count == 0:
            raise ValueError(self.refusal(self.shown(keys[0])))
        if self.oov_count == 1:
            return 0
        if self.whole and self.method == "floormod":
            return np.mod(np.array(keys, np.int64), self.oov_count)
        texts = [str(k) for k in keys] if self.whole else keys
        hashes = hashing.fingerprints(texts) if self.salt is None else hashing.sip_hashes(texts, self.salt)
        return (hashes % np.uint64(self.oov_count)).astype(np.int64)

    def refusal(self, token):
        """Returns what is said of an unknown token where none may be."""
        return (
            f"{self.label}: {shortened(token)} is not in its vocabulary, and num_oov_indices=0 has no index for others."
        )

    def weights(self, width):
        """Returns the weight of each category for "tf_idf": unknown tokens have the mean of all."""
        self.require()
        found = np.concatenate([np.full(self.oov_count, self.idf.mean()), self.idf]).astype(np.float32)
        return np.pad(found, (0, width - len(found)))

    @property
    def table(self):
        """(keys, indices): whole numbers of 32 bits in rising order, for programs that search them."""
        if "table" not in self.__dict__:
            self.require()
            keys = np.array(self.tokens, np.int64)
            places = np.arange(len(self.specials), len(self))
            if self.mask is not None:
                keys = np.append(keys, self.mask)
                places = np.append(places, 0 if self.mode == "int" else -1)
            order = np.argsort(keys)
            keys, places = keys[order], places[order]
            small = (keys >= -FEW) & (keys < FEW)
            self.__dict__["table"] = keys[small].astype(np.int32), places[small].astype(np.int32)
        return self.__dict__["table"]


def read_vocabulary(value, label):
    """Returns the tokens of a list or an array, or of a text file with one in each line.

    Raises:
        ValueError: There is no such file.
    """
    if not isinstance(value, (str, os.PathLike)):
        if hasattr(value, "shape") or hasattr(value, "numpy"):
            value = text_array(value) if is_text(value) else np.asarray(value)
            value = value.ravel().tolist()
        return list(value)
    if not os.path.isfile(value):
        raise ValueError(f"{label}: there is no vocabulary file {os.fspath(value)!r}.")
    with open(value, encoding="utf-8") as file:
        return lines_of(file.read())


def lines_of(text):
    """Returns the lines of a file of tokens; an empty one at the beginning is a token, the mask."""
    lines = text.split("\n")
    return [line.removesuffix("\r") for line in (lines[:-1] if lines[-1] == "" and len(lines) > 1 else lines)]


# --------------------------------------------------------------------------------------------- layers


def encoding_mode(*modes):
    """Converter: one of these modes, or what Keras 2 called it."""
    old = {"binary": "multi_hot", "tf-idf": "tf_idf"}
    return lambda mode: choice(*modes)(old.get(mode, mode) if isinstance(mode, str) else mode)


def given_vocabulary(value):
    """Converter: a path as text, tokens as a list; None for none."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value if value is None or isinstance(value, str) else read_vocabulary(value, "vocabulary")


def most_tokens(value):
    """Converter: how many tokens there may be: more than 1, or None."""
    if value is not None and positive_int(value) == 1:
        raise ValueError("expected more than 1: special tokens count too.")
    return None if value is None else positive_int(value)


def shared_indices(value):
    """Converter: how many indices unknown tokens share."""
    if isinstance(value, (bool, str)) or not hasattr(value, "__index__") or not 0 <= value <= MOST_SHARED:
        raise ValueError(f"expected an integer from 0 to {MOST_SHARED}, got {value!r}.")
    return int(value)


class VocabularyLayer(HostLayer):
    """Base of the layers that hold a `Vocabulary`: given, learned by `adapt`, saved with the model."""

    whole = False

    def _begin(self, vocabulary):
        """Starts with an empty `Vocabulary`, and sets the tokens that the settings give."""
        object.__setattr__(self, "_vocabulary", vocabulary)
        if self.pad_to_max_tokens and self.max_tokens is None:
            raise ValueError(f"{self.label}: pad_to_max_tokens=True needs max_tokens.")
        if self.idf_weights is not None and self.output_mode != "tf_idf":
            raise ValueError(f"{self.label}: idf_weights go with output_mode='tf_idf', this is {self.output_mode!r}.")
        if self.vocabulary is not None:
            self._vocabulary.set(read_vocabulary(self.vocabulary, self.label), self.idf_weights)
        elif self.idf_weights is not None:
            raise ValueError(f"{self.label}: idf_weights belong to a vocabulary, which is not given.")

    def get_vocabulary(self, include_special_tokens=True):
        """Returns the tokens in the order of their indices, with the special ones or without."""
        return self._vocabulary.all(include_special_tokens)

    def vocabulary_size(self):
        """Returns the number of tokens, special ones included."""
        return len(self._vocabulary)

    def set_vocabulary(self, vocabulary, idf_weights=None):
        """Sets the tokens: a list, an array, or the path of a file with one in each line.

        Args:
            vocabulary: As above, without the special tokens, or with all of them at its beginning.
            idf_weights: A weight for each, for output_mode="tf_idf".

        Raises:
            ValueError: It is empty, has a token twice, or is larger than max_tokens.
        """
        self._vocabulary.set(read_vocabulary(vocabulary, self.label), idf_weights)
        self._changed()

    def adapt(self, data, batch_size=None, steps=None):
        """Learns the vocabulary from data, the most frequent tokens first; forgets what it knew.

        Args:
            data: Array, list, column of a frame, or an iterable of batches: a generator, a `PyDataset`, tf.data.
            batch_size: Keras's; it changes nothing.
            steps: How many batches of an iterable to take; None for all.
        """
        self._vocabulary.learn(self._documents(batches_of(data, steps)))
        self._changed()

    def finalize_state(self):
        """Does nothing: `adapt` leaves the layer ready."""

    def reset_state(self):
        """Forgets the vocabulary."""
        self._vocabulary.tokens, self._vocabulary.index, self._vocabulary.idf = None, {}, None
        self._changed()

    def _documents(self, batches):
        """Yields the documents of batches as lists of keys: the rows of an array, or the values of a flat one."""
        for batch in batches:
            if batch.ndim > 1:
                keys = self._keys(batch)
                width = int(np.prod(batch.shape[1:]))
                yield from (keys[i : i + width] for i in range(0, len(keys), width))
            else:
                yield from ([key] for key in self._keys(batch))

    def _width(self):
        """Size of the vectors of categories."""
        if self.pad_to_max_tokens:
            return self.max_tokens
        if self._vocabulary.expected is None:
            self._vocabulary.require()
        return len(self._vocabulary)

    def _encoded_spec(self, shape):
        if self.output_mode == "int":
            return Spec(shape, "int32")
        return Spec(encoded_shape(shape, self._width(), self.output_mode, self.label), self.dtype.compute_dtype)

    def _encoded(self, indices):
        """Encodes indices, a NumPy array, as the mode says."""
        if self.output_mode == "int":
            return indices
        width, mode = self._width(), self.output_mode
        found = encode_on_host(indices, width, "count" if mode == "tf_idf" else mode, self.dtype.compute_dtype)
        return found * self._vocabulary.weights(width).astype(found.dtype) if mode == "tf_idf" else found

    def get_config(self):
        """Returns the settings; the vocabulary is among them as a list, whether it was given, read or learned."""
        config, held = super().get_config(), self._vocabulary
        idf = held.idf.tolist() if held.idf is not None else None
        return config | {
            "vocabulary": held.stored(),
            "idf_weights": idf,
            "vocabulary_size": len(held),
        }

    @classmethod
    def from_config(cls, config):
        """Makes a layer of its config. The path of a vocabulary file in it is not followed."""
        config = {k: v for k, v in config.items() if k in cls._fields or k != "oov_method"}  # Keras writes it for all
        size, path = config.pop("vocabulary_size", None), config.get("vocabulary")
        elsewhere = os.path.basename(path) if isinstance(path, (str, os.PathLike)) else None
        if elsewhere is not None:
            config["vocabulary"] = config["idf_weights"] = None
        layer = super().from_config(config)
        if layer._vocabulary.tokens is None and size is not None:
            layer._vocabulary.expected = positive_int(size)
        if elsewhere is not None:
            layer._vocabulary.elsewhere = elsewhere
            warnings.warn(
                f"{layer.label}: its config names the vocabulary file {elsewhere!r}, which is not read. "
                f"Call set_vocabulary(path).",
                stacklevel=3,
            )
        return layer

    def token_weights(self):
        """Returns the weight of each category with output_mode="tf_idf", once there is a vocabulary; else None."""
        known = self.output_mode == "tf_idf" and self._vocabulary.tokens is not None
        return self._vocabulary.weights(self._width()) if known else None

    def load_vocabulary(self, text, idf=None):
        """Takes the tokens of a file that Keras stored beside a model, one in each line, special ones first.

        Args:
            text: The file.
            idf: Weights that Keras stored with them: of the special tokens, of the tokens, and zeros that fill up.
        """
        held = self._vocabulary
        if held.tokens is not None:
            return
        tokens = lines_of(text)
        if self.whole:
            tokens = [int(t) for t in tokens]
        skip = len(held.specials)
        tokens = tokens[skip:] if tokens[:skip] == held.specials else tokens
        if (self.output_mode == "tf_idf") != (idf is not None):
            raise ValueError(f"{self.label}: output_mode={self.output_mode!r}, and idf_weights are stored or missing.")
        if idf is not None:
            idf = idf[skip : skip + len(tokens)]
        held.set(tokens, idf)
        if held.expected not in (None, len(held)):
            raise ValueError(f"{self.label}: expected {held.expected} tokens, as its config says, got {len(held)}.")
        self._changed()


class Lookup(VocabularyLayer):
    """Base of `StringLookup` and `IntegerLookup`."""

    def check(self):
        if self.invert and self.output_mode != "int":
            raise ValueError(f"{self.label}: invert=True goes with output_mode='int', this is {self.output_mode!r}.")
        method = getattr(self, "oov_method", "farmhash")
        if self.salt is not None and method != "farmhash":
            raise ValueError(f"{self.label}: salt goes with oov_method='farmhash', this is {method!r}.")
        about = self.output_mode, self.num_oov_indices, self.max_tokens, self.salt, method
        self._begin(Vocabulary(self.label, self.whole, self.mask_token, self.oov_token, *about))

    def host(self, x):
        return self._restored(x) if self.invert else self._encoded(self._indices(x))

    def _indices(self, x):
        x = self._read(x)
        return self._vocabulary.indices(self._keys(x)).reshape(np.shape(x))

    def _restored(self, x):
        """Returns the tokens of indices; that for unknown ones, where there is none."""
        held = self._vocabulary
        held.require()
        x = np.asarray(x)
        if x.dtype.kind not in "iub":
            raise ValueError(f"{self.label}: expected indices, got data of dtype {x.dtype}.")
        tokens = np.array(held.all(), np.int64 if self.whole else object)
        inside = (x >= 0) & (x < len(tokens))
        oov = self.oov_token if self.oov_token is not None else ""
        return np.where(inside, tokens[np.where(inside, x, 0)], oov)

    def host_spec(self, x):
        if (x.dtype == STRING) != (not self.whole and not self.invert):
            kind = "whole numbers" if self.whole or self.invert else "text"
            raise TypeError(
                f"{self.label}: expected a symbol that stands for {kind}, got {dtypes.dtype_name(x.dtype)}."
            )
        if self.invert:
            return Spec(x.shape, "int32" if self.whole else STRING)
        return self._encoded_spec(x.shape)


@layers.register
class StringLookup(Lookup):
    """Turns texts into their indices in a vocabulary, or into vectors of categories.

    Indices begin with the special tokens: the mask (with output_mode="int", if there is one), then those for tokens
    that are not in the vocabulary, then the vocabulary's.

    Args:
        max_tokens: How many indices there may be, special ones included; None for any number.
        num_oov_indices: How many indices unknown tokens share, by a hash; with 0 they are refused.
        mask_token: Text that stands for nothing: index 0, or no category; None for none.
        oov_token: What unknown tokens are called by `invert`.
        vocabulary: List, array, or path of a file with a token in each line; None to learn it by `adapt`.
        idf_weights: A weight for each token, with output_mode="tf_idf".
        invert: Turns indices into texts instead.
        output_mode: "int": indices in the input's shape; "one_hot": a vector for each; "multi_hot", "count", "tf_idf":
            a vector for each row, of whether, how often, or how often by its weight a token occurs.
        pad_to_max_tokens: Vectors of max_tokens, however many tokens there are.
        sparse: Only False: JAX has dense arrays alone.
        encoding: Of bytes.
        salt: Key of the hash of unknown tokens: an int or two.

    Input shape: any. Output shape: [...], [..., tokens] or [B, tokens].

    It reads text, so that it runs on the host, ahead of the compiled part of a model (see ARCHITECTURE.md).

    Example:
        >>> layer = StringLookup()
        >>> layer.adapt(["cat", "dog", "cat"])
        >>> layer.get_vocabulary(), layer(["dog", "cat", "cow"]).tolist()
        (['[UNK]', 'cat', 'dog'], [2, 1, 0])

    Reference:
        As Keras 3; unknown tokens by FarmHash, or by SipHash with a salt.
    """

    max_tokens: Any = setting(most_tokens, None)
    num_oov_indices: int = setting(shared_indices, 1)
    mask_token: Any = None
    oov_token: Any = "[UNK]"
    vocabulary: Any = setting(given_vocabulary, None)
    idf_weights: Any = None
    invert: bool = False
    output_mode: str = setting(encoding_mode(*MODES), "int")
    pad_to_max_tokens: bool = False
    sparse: bool = setting(dense_only, False)
    encoding: str = "utf-8"
    name: str = setting(default=None)
    salt: Any = setting(read_salt, None)

    def _read(self, x):
        return text_array(x, f"the input of {self.label}")

    def _keys(self, x):
        return utf8(text_array(x), self.encoding)


@layers.register
class IntegerLookup(Lookup):
    """Turns whole numbers into their indices in a vocabulary, or into vectors of categories.

    Args:
        max_tokens, num_oov_indices, vocabulary, idf_weights, invert, output_mode, sparse, pad_to_max_tokens: As
            `StringLookup` has them.
        mask_token: Number that stands for nothing; None for none.
        oov_token: What unknown numbers are called by `invert`.
        vocabulary_dtype: "int64" or "int32".
        oov_method: How unknown numbers share several indices: "floormod", or "farmhash" of how they are written.
        salt: Key of that hash: an int or two.

    Input shape: any. Output shape: [...], [..., tokens] or [B, tokens].

    It computes on whole numbers in JAX, anywhere in a graph; there numbers have 32 bits. NumPy's may have 64.

    Example:
        >>> layer = IntegerLookup(vocabulary=[12, 36])
        >>> layer(np.array([[36], [7]])).tolist()
        [[2], [0]]

    Reference:
        As Keras 3.
    """

    max_tokens: Any = setting(most_tokens, None)
    num_oov_indices: int = setting(shared_indices, 1)
    mask_token: Any = setting(seed_or_none, None)
    oov_token: int = setting(seed_or_none, -1)
    vocabulary: Any = setting(given_vocabulary, None)
    vocabulary_dtype: str = setting(choice("int64", "int32"), "int64")
    idf_weights: Any = None
    invert: bool = False
    output_mode: str = setting(encoding_mode(*MODES), "int")
    sparse: bool = setting(dense_only, False)
    pad_to_max_tokens: bool = False
    oov_method: str = setting(choice("floormod", "farmhash"), "floormod")
    salt: Any = setting(read_salt, None)
    name: str = setting(default=None)

    whole, only_host, takes_ints = True, False, "only"

    def _read(self, x):
        x = np.asarray(x)
        if x.dtype.kind not in "iubf":
            raise ValueError(f"{self.label}: expected whole numbers, got data of dtype {x.dtype}.")
        return x.astype(np.int64)

    def _keys(self, x):
        return self._read(x).ravel().tolist()

    def check_values(self, x):
        """Raises ValueError for a number that is not in the vocabulary where none may be; `x` is a NumPy array."""
        if self.num_oov_indices == 0 and not self.invert:
            self._indices(x)

    def forward(self, params, state, x, ctx):
        held, x = self._vocabulary, x.astype(jnp.int32)
        if self.invert:
            held.require()
            tokens = jnp.asarray(np.array(held.all()).astype(np.int32))
            inside = (x >= 0) & (x < len(tokens))
            return jnp.where(inside, tokens[jnp.where(inside, x, 0)], self.oov_token), state
        keys, places = map(jnp.asarray, held.table)
        at = jnp.minimum(sorted_place(keys, x), len(keys) - 1)
        known = keys[at] == x
        if self.num_oov_indices == 0:
            others = -1
        elif self.num_oov_indices == 1:
            others = held.first_oov
        elif self.oov_method == "floormod":
            others = held.first_oov + x % self.num_oov_indices
        else:
            others = held.first_oov + hashing.number_hashes(x, self.salt) % self.num_oov_indices
        indices = jnp.where(known, places[at], others).astype(jnp.int32)
        if self.output_mode == "int":
            return indices, state
        width, compute = self._width(), self.dtype.compute_dtype
        if self.output_mode == "tf_idf":
            found = encode_categories(indices, width, "count", dtype=compute)
            return found * jnp.asarray(held.weights(width), found.dtype), state
        return encode_categories(indices, width, self.output_mode, dtype=compute), state

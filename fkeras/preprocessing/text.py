"""Texts by Keras 2's names: words, numbers of words, and matrices of counts.

New programs use the layer TextVectorization, which is saved with the model.
"""

import collections
import hashlib
import json
import math
import warnings

import numpy as np

FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'
MODES = ("binary", "count", "freq", "tfidf")


def text_to_word_sequence(input_text, filters=FILTERS, lower=True, split=" "):
    """Returns the words of a text.

    Args:
        input_text: Text.
        filters: Characters that separate words, as `split` does.
        lower: Whether words are in small letters.
        split: What stands between words.

    Example:
        >>> text_to_word_sequence("One fish, two fish!")
        ['one', 'fish', 'two', 'fish']
    """
    text = input_text.lower() if lower else input_text
    text = text.translate(str.maketrans(dict.fromkeys(filters, split)))
    return [word for word in text.split(split) if word]


def one_hot(input_text, n, filters=FILTERS, lower=True, split=" ", analyzer=None):
    """Returns a number in [1, n) for each word of a text, by Python's hash; words may share one.

    Python's hash of a text differs from process to process; `hashing_trick(..., hash_function="md5")` does not.
    """
    return hashing_trick(input_text, n, hash, filters, lower, split, analyzer)


def hashing_trick(text, n, hash_function=None, filters=FILTERS, lower=True, split=" ", analyzer=None):
    """Returns a number in [1, n) for each word of a text, by a hash; words may share one.

    Args:
        text: Text.
        n: Size of the space; 0 is given to no word.
        hash_function: Function of a word, "md5", or None: Python's `hash`, which differs from process to process.
        filters, lower, split: As in `text_to_word_sequence`.
        analyzer: Function of a text that returns its words, in place of `text_to_word_sequence`.

    Example:
        >>> hashing_trick("one fish two fish", 100, "md5")
        [39, 2, 78, 2]
    """
    if hash_function == "md5":

        def hash_function(word):
            return int(hashlib.md5(word.encode(), usedforsecurity=False).hexdigest(), 16)

    words = text_to_word_sequence(text, filters, lower, split) if analyzer is None else analyzer(text)
    return [(hash_function or hash)(word) % (n - 1) + 1 for word in words]


class Tokenizer:
    """Numbers words by how frequent they are in the texts it was fitted on: 1 is the most frequent.

    Args:
        num_words: Only numbers below this one are given out: the num_words - 1 most frequent words.
        filters: Characters that separate words.
        lower: Whether texts are put in small letters.
        split: What stands between words.
        char_level: Whether every character is a word.
        oov_token: Stands for unknown words and gets the number 1; None: those are left out.
        analyzer: Function of a text that returns its words.

    Attributes:
        word_index, index_word: {word: number} and {number: word}.
        word_counts, word_docs, index_docs: How often a word occurs, and in how many texts.
        document_count: Texts fitted on.

    Example:
        >>> tokenizer = Tokenizer()
        >>> tokenizer.fit_on_texts(["one fish two fish", "red fish"])
        >>> tokenizer.texts_to_sequences(["red fish blue fish"])
        [[4, 1, 1]]

    Reference:
        As the legacy class of Keras 3.
    """

    def __init__(
        self,
        num_words=None,
        filters=FILTERS,
        lower=True,
        split=" ",
        char_level=False,
        oov_token=None,
        analyzer=None,
        **kwargs,
    ):
        if "nb_words" in kwargs:
            warnings.warn("Tokenizer: nb_words is called num_words today.", stacklevel=2)
            num_words = kwargs.pop("nb_words")
        self.document_count = kwargs.pop("document_count", 0)
        if kwargs:
            raise TypeError(f"Tokenizer: unknown argument {next(iter(kwargs))!r}.")
        self.num_words, self.filters, self.lower, self.split = num_words, filters, lower, split
        self.char_level, self.oov_token, self.analyzer = char_level, oov_token, analyzer
        self.word_counts = collections.OrderedDict()
        self.word_docs, self.index_docs = collections.defaultdict(int), collections.defaultdict(int)
        self.word_index, self.index_word = {}, {}

    def _words(self, text):
        if self.char_level or isinstance(text, list):
            if not self.lower:
                return text
            return [part.lower() for part in text] if isinstance(text, list) else text.lower()
        if self.analyzer is not None:
            return self.analyzer(text)
        return text_to_word_sequence(text, self.filters, self.lower, self.split)

    def fit_on_texts(self, texts):
        """Counts the words of texts (strings, or lists of words) and numbers all words counted so far."""
        for text in texts:
            self.document_count += 1
            words = self._words(text)
            for word in words:
                self.word_counts[word] = self.word_counts.get(word, 0) + 1
            for word in set(words):
                self.word_docs[word] += 1
        ranked = [word for word, _ in sorted(self.word_counts.items(), key=lambda counted: -counted[1])]
        if self.oov_token is not None:
            ranked = [self.oov_token, *ranked]
        self.word_index = {word: number for number, word in enumerate(ranked, 1)}
        self.index_word = {number: word for word, number in self.word_index.items()}
        for word, count in self.word_docs.items():
            self.index_docs[self.word_index[word]] = count

    def fit_on_sequences(self, sequences):
        """Counts in how many sequences each number occurs: what `sequences_to_matrix(mode="tfidf")` needs."""
        self.document_count += len(sequences)
        for sequence in sequences:
            for number in set(sequence):
                self.index_docs[number] += 1

    def texts_to_sequences(self, texts):
        """Returns a list of numbers for each text."""
        return list(self.texts_to_sequences_generator(texts))

    def texts_to_sequences_generator(self, texts):
        """Yields a list of numbers for each text."""
        unknown = self.word_index.get(self.oov_token)
        for text in texts:
            numbers = (self._number(word, unknown) for word in self._words(text))
            yield [number for number in numbers if number is not None]

    def _number(self, word, unknown):
        number = self.word_index.get(word)
        return number if number is not None and self._known(number) else unknown

    def _known(self, number):
        return not self.num_words or number < self.num_words

    def sequences_to_texts(self, sequences):
        """Returns a text of words with spaces between for each list of numbers."""
        return list(self.sequences_to_texts_generator(sequences))

    def sequences_to_texts_generator(self, sequences):
        """Yields a text for each list of numbers."""
        unknown = self.oov_token if self.word_index.get(self.oov_token) is not None else None
        for sequence in sequences:
            words = (self.index_word.get(number) if self._known(number) else None for number in sequence)
            words = (unknown if word is None else word for word in words)
            yield " ".join(word for word in words if word is not None)

    def texts_to_matrix(self, texts, mode="binary"):
        """Returns a row for each text, with a column for each word; see `sequences_to_matrix`."""
        return self.sequences_to_matrix(self.texts_to_sequences(texts), mode)

    def sequences_to_matrix(self, sequences, mode="binary"):
        """Returns a row for each list of numbers, with a column for each number.

        Args:
            sequences: Lists of numbers.
            mode: "binary" (1 where it occurs), "count", "freq" (count / length), or "tfidf": (1 + log(count)) *
                log(1 + documents / (1 + documents with it)).

        Returns:
            float64 [len(sequences), num_words].
        """
        if mode not in MODES:
            raise ValueError(f"sequences_to_matrix: expected mode as one of {MODES}, got {mode!r}.")
        if not self.num_words and not self.word_index:
            raise ValueError("sequences_to_matrix: give num_words, or fit the tokenizer on texts first.")
        if mode == "tfidf" and not self.document_count:
            raise ValueError("sequences_to_matrix: fit the tokenizer on texts before mode='tfidf'.")
        num_words = self.num_words or len(self.word_index) + 1
        x = np.zeros((len(sequences), num_words))
        for row, sequence in zip(x, sequences, strict=True):
            for number, count in collections.Counter(n for n in sequence if n < num_words).items():
                if mode == "tfidf":
                    documents = 1 + self.document_count / (1 + self.index_docs.get(number, 0))
                    row[number] = (1 + math.log(count)) * math.log(documents)
                else:
                    row[number] = {"binary": 1, "count": count, "freq": count / len(sequence)}[mode]
        return x

    def get_config(self):
        """Returns the settings and what was counted; dicts are JSON texts, as Keras has them."""
        return {
            "num_words": self.num_words,
            "filters": self.filters,
            "lower": self.lower,
            "split": self.split,
            "char_level": self.char_level,
            "oov_token": self.oov_token,
            "document_count": self.document_count,
            **{name: json.dumps(getattr(self, name)) for name in _COUNTED},
        }

    def to_json(self, **kwargs):
        """Returns the tokenizer as JSON, in Keras's form; `kwargs` go to `json.dumps`."""
        return json.dumps({"class_name": type(self).__name__, "config": self.get_config()}, **kwargs)


_COUNTED = ("word_counts", "word_docs", "index_docs", "index_word", "word_index")


def tokenizer_from_json(json_string):
    """Returns the tokenizer whose `to_json`, here or in Keras, this is.

    Raises:
        ValueError: It is not the JSON of a tokenizer.
    """
    try:
        config = dict(json.loads(json_string)["config"])
        counted = {name: json.loads(config.pop(name)) for name in _COUNTED}
    except (ValueError, TypeError, KeyError) as err:
        raise ValueError(f"tokenizer_from_json: this is not the JSON of a Tokenizer ({err}).") from None
    for name in ("index_docs", "index_word"):  # JSON has only texts for keys
        counted[name] = {int(number): value for number, value in counted[name].items()}
    tokenizer = Tokenizer(**config)
    for name, value in counted.items():
        setattr(tokenizer, name, value)
    return tokenizer

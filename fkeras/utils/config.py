"""A dict whose entries are attributes too, and that can be frozen."""

import json


class Config:
    """Named values: `config.rate`, `config["rate"]`; `freeze()` makes every later change an error.

    Example:
        >>> config = Config(rate=0.1)
        >>> config.units = 3
        >>> config["units"], config.to_json()
        (3, '{"rate": 0.1, "units": 3}')

    Reference:
        As Keras 3.
    """

    def __init__(self, **kwargs):
        object.__setattr__(self, "_values", dict(kwargs))
        object.__setattr__(self, "_frozen", False)

    def _change(self, what):
        if self._frozen:
            raise ValueError(f"Config: it is frozen, {what} cannot be changed. unfreeze() allows it again.")

    def __getattr__(self, name):
        if name.startswith("__") or name not in self._values:
            raise AttributeError(f"Config has no {name!r}. It has: {', '.join(self._values) or 'nothing'}.")
        return self._values[name]

    def __setattr__(self, name, value):
        self._change(repr(name))
        self._values[name] = value

    def __delattr__(self, name):
        self._change(repr(name))
        if name not in self._values:
            raise AttributeError(f"Config has no {name!r}.")
        del self._values[name]

    def __getitem__(self, name):
        return self._values[name]

    __setitem__, __delitem__ = __setattr__, __delattr__

    def __contains__(self, name):
        return name in self._values

    def __iter__(self):
        return iter(self._values)

    def __len__(self):
        return len(self._values)

    def __eq__(self, other):
        return isinstance(other, Config) and self._values == other._values

    __hash__ = None

    def __repr__(self):
        return f"<Config {self._values}>"

    def __getstate__(self):
        return self._values, self._frozen

    def __setstate__(self, state):
        object.__setattr__(self, "_values", state[0])
        object.__setattr__(self, "_frozen", state[1])

    def keys(self):
        """Returns the names."""
        return self._values.keys()

    def values(self):
        """Returns the values."""
        return self._values.values()

    def items(self):
        """Returns pairs (name, value)."""
        return self._values.items()

    def get(self, name, default=None):
        """Returns the value of that name, or `default`."""
        return self._values.get(name, default)

    def pop(self, name, *default):
        """Takes a value out and returns it."""
        self._change(repr(name))
        return self._values.pop(name, *default)

    def update(self, *args, **kwargs):
        """Sets the values of a dict."""
        self._change("its values")
        self._values.update(*args, **kwargs)

    def setdefault(self, name, default=None):
        """Returns the value of that name, which is set to `default` if there is none."""
        if name not in self._values:
            self[name] = default
        return self._values[name]

    @property
    def frozen(self):
        """Whether changes are errors."""
        return self._frozen

    def freeze(self):
        """Makes every later change an error."""
        object.__setattr__(self, "_frozen", True)

    def unfreeze(self):
        """Allows changes again."""
        object.__setattr__(self, "_frozen", False)

    def as_dict(self):
        """Returns the values as a new dict."""
        return dict(self._values)

    def to_json(self):
        """Returns the values as JSON."""
        return json.dumps(self._values)

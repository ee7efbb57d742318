"""A callback that tells a server of each epoch."""

import json
import warnings
from typing import Any

import numpy as np

from fkeras.callbacks.base import ConfiguredCallback
from fkeras.core.optional import need


class RemoteMonitor(ConfiguredCallback):
    """Posts the logs of every epoch to a server, with the package requests; a server that is not there is a warning.

    Args:
        root: Address of the server.
        path: Path there.
        field: Name of the form's field that holds the logs as JSON.
        headers: Dict of HTTP headers, or None.
        send_as_json: Posts the logs as JSON itself instead of a form.

    Raises:
        ImportError: requests is not installed.

    Example:
        >>> monitor = RemoteMonitor("http://localhost:9000", send_as_json=True)
        >>> monitor.root + monitor.path
        'http://localhost:9000/publish/epoch/end/'

    Reference:
        As Keras 3.
    """

    root: str = "http://localhost:9000"
    path: str = "/publish/epoch/end/"
    field: str = "data"
    headers: Any = None
    send_as_json: bool = False

    def on_epoch_end(self, epoch, logs=None):
        requests = need("requests", "RemoteMonitor")
        send = {"epoch": epoch} | {name: _plain(value) for name, value in dict(logs or {}).items()}
        about = {"json": send} if self.send_as_json else {"data": {self.field: json.dumps(send)}}
        try:
            requests.post(self.root + self.path, headers=self.headers, **about)
        except requests.exceptions.RequestException:
            warnings.warn(f"Could not reach RemoteMonitor root server at {self.root}.", stacklevel=2)


def _plain(value):
    """Returns an array of one number as that number, of several as a list."""
    if not hasattr(value, "shape"):
        return value
    value = np.asarray(value)
    return value.item() if value.size == 1 else value.tolist()

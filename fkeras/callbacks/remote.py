"""Sends the logs to a server."""

import json
import warnings

from fkeras.callbacks.base import ConfiguredCallback
from fkeras.core.messages import is_main
from fkeras.core.settings import setting

SECONDS = 5  # that a server may take to answer


def _address(value):
    if not isinstance(value, str) or not value.startswith(("http://", "https://")):
        raise ValueError(f"expected an address that begins with http:// or https://, got {value!r}.")
    return value


class RemoteMonitor(ConfiguredCallback):
    """Sends the logs of every epoch to a server by HTTP POST; warns where it does not answer, and training goes on.

    Args:
        root: Address of the server.
        path: Path that follows it.
        field: Name of the form's field that holds the JSON text {"epoch": ..., name: number, ...}.
        headers: Dict of further HTTP headers.
        send_as_json: Send the JSON itself, as "application/json", instead of a form.

    Raises:
        ValueError: `root` is no address.

    Example:
        >>> RemoteMonitor("ftp://server")
        Traceback (most recent call last):
        ValueError: RemoteMonitor(root='ftp://server'): expected an address that begins with http:// or https://, ...

    Reference:
        As Keras 3's, which needs the package requests and waits for a server without end.
    """

    root: str = setting(_address, "http://localhost:9000")
    path: str = "/publish/epoch/end/"
    field: str = "data"
    headers: dict | None = None
    send_as_json: bool = False

    def on_epoch_end(self, epoch, logs=None):
        if not is_main():
            return
        import urllib.request  # here, so that `import fkeras` stays light

        text = json.dumps(
            {"epoch": epoch} | {k: getattr(v, "tolist", lambda v=v: v)() for k, v in (logs or {}).items()}
        )
        kind = "application/json" if self.send_as_json else "application/x-www-form-urlencoded"
        data = text if self.send_as_json else urllib.parse.urlencode({self.field: text})
        headers = {"Content-Type": kind} | (self.headers or {})
        try:
            request = urllib.request.Request(self.root + self.path, data.encode(), headers)
            urllib.request.urlopen(request, timeout=SECONDS).close()
        except (OSError, ValueError) as err:  # urllib's errors are OSErrors
            warnings.warn(f"RemoteMonitor: {self.root + self.path} does not take the logs: {err}", stacklevel=2)

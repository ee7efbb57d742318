"""Reading ahead: a thread of its own reads batches while the devices compute."""

import collections
import threading

AHEAD_BYTES = 1 << 26  # batches read ahead hold about this much at most, but two may always wait


class Ahead:
    """Reads an iterator in a background thread, a bounded number of bytes ahead.

    Args:
        batches: Iterator of things that have `nbytes`.

    An error in the iterator ends the thread and is raised by `take`, with its own traceback, after the batches that
    came before it.
    """

    def __init__(self, batches):
        self.batches = batches
        self.ready, self.bytes, self.error = collections.deque(), 0, None
        self.ended = self.closed = False
        self.wanted = 0  # batches that `take` waits for: woken for each, it would take longer than many batches do
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self._read, name="fkeras-reads-ahead", daemon=True)
        self.thread.start()

    def _read(self):
        error = None
        try:
            for batch in self.batches:
                with self.changed:
                    self.ready.append(batch)
                    self.bytes += batch.nbytes
                    if self.wanted and (len(self.ready) >= self.wanted or self.bytes > AHEAD_BYTES):
                        self.changed.notify_all()
                    while self.bytes > AHEAD_BYTES and len(self.ready) >= 2 and not self.closed:
                        self.changed.wait()
                    if self.closed:
                        break
        except BaseException as err:  # whatever it is, it belongs to whoever waits for the data
            error = err
        finally:
            with self.changed:
                self.error, self.ended = error, True
                self.changed.notify_all()

    def take(self, n, form=None):
        """Returns a list of the next `n` batches, fewer at the end.

        Args:
            n: At least 1.
            form: Function of a batch; the list ends where its result changes.

        Raises:
            Exception: What the iterator raised.
        """
        with self.changed:
            self.wanted = n
            while len(self.ready) < n and not self.ended and (self.bytes <= AHEAD_BYTES or not self.ready):
                self.changed.wait()
            self.wanted = 0
            got = []
            while self.ready and len(got) < n and (form is None or not got or form(self.ready[0]) == form(got[0])):
                got.append(self.ready.popleft())
            self.bytes -= sum(batch.nbytes for batch in got)
            self.changed.notify_all()
            if not got and self.error is not None:
                error, self.error = self.error, None
                raise error
            return got

    def close(self):
        """Ends the thread; batches read and not taken are dropped."""
        with self.changed:
            self.closed = True
            self.ready.clear()
            self.changed.notify_all()
        self.thread.join(timeout=1.0)  # it may wait for data inside the user's iterator: a daemon, it holds up nothing

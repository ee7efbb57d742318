"""A process for one peer and one workload: `python -m benchmarks.worker PEER WORKLOAD`.

It reads a JSON object a line, {"do": NAME, "args": [...]}, and answers each with {"ok": result} or {"error": text}.
A peer offers parameters(), train(epochs), predict(), predict_one(row), predict_one_direct(row), and `settings` with
choose(setting) where there is something to choose.
"""

import importlib
import json
import os
import sys
import time
import traceback

from benchmarks.workloads import WORKLOADS

PEERS = {  # name: (module and class, modules it needs, environment)
    "fkeras": ("facade.Fkeras", ["fkeras"], {}),
    "keras-jax": ("facade.KerasJax", ["keras", "jax"], {"KERAS_BACKEND": "jax"}),
    "keras-tf": ("facade.KerasTensorFlow", ["keras", "tensorflow"], {"KERAS_BACKEND": "tensorflow"}),
    "torch": ("torch_peer.Peer", ["torch"], {}),
    "torch-compile": ("torch_peer.CompiledPeer", ["torch"], {}),
    "flax": ("flax_peer.Peer", ["flax", "optax"], {}),
    "jax": ("jax_peer.Peer", ["jax"], {}),
}


class Worker:
    """What the parent may ask for."""

    def __init__(self, peer, work):
        self.work, self.epoch_seconds = WORKLOADS[work], None
        (module, self.name), needs, _ = PEERS[peer][0].split("."), *PEERS[peer][1:]
        for needed in (*needs, f"benchmarks.peers.{module}"):
            self.module = importlib.import_module(needed)
        self.data = self.work.data()

    def first_epoch(self):
        """Makes the model and trains its first epoch; returns the time and the parameter count.

        Only both together can be compared: one library draws and compiles at once, another when it is needed.
        A second epoch tells how long the next ones take.
        """
        start, cpu = time.perf_counter(), time.process_time()
        self.peer = getattr(self.module, self.name)(self.work, *self.data)
        built = time.perf_counter() - start
        self.peer.train(1)
        took, cpu = time.perf_counter() - start, time.process_time() - cpu
        self.epoch_seconds = _timed(self.peer.train, 1)
        return {"build": built, "first_epoch": took, "first_cpu": cpu, "parameters": self.peer.parameters()}

    def tune(self, seconds):
        """Chooses the fastest of the peer's settings; returns it and steps/s of each."""
        rates = {}
        for setting in self.peer.settings if len(self.peer.settings) > 1 else ():
            self.peer.choose(setting)
            self.peer.train(1)
            self.epoch_seconds = _timed(self.peer.train, 1)
            rates[json.dumps(setting)] = self.train(seconds)["rate"]
        if not rates:
            return {"setting": {}, "rates": {}}
        best = json.loads(max(rates, key=rates.get))
        self.peer.choose(best)
        self.peer.train(1)
        self.epoch_seconds = _timed(self.peer.train, 1)
        return {"setting": best, "rates": rates}

    def train(self, seconds):
        """Trains whole epochs for about `seconds`; returns steps per second, CPU milliseconds a step, and the loss."""
        epochs = max(1, round(seconds / self.epoch_seconds))
        steps = epochs * self.work.steps
        start, cpu = time.perf_counter(), time.process_time()
        loss = self.peer.train(epochs)
        took, cpu = time.perf_counter() - start, time.process_time() - cpu
        return {"rate": steps / took, "cpu_ms": 1e3 * cpu / steps, "loss": float(loss)}

    def predict(self, seconds):
        """Predicts all rows again and again for about `seconds`; returns rows per second."""
        return self._repeat(lambda _: self.peer.predict(), seconds, self.work.rows)

    def predict_one(self, seconds):
        """Predicts single rows for about `seconds`; returns rows per second."""
        return self._repeat(self.peer.predict_one, seconds, 1)

    def predict_one_direct(self, seconds):
        """The same by the peer's quickest call."""
        return self._repeat(self.peer.predict_one_direct, seconds, 1)

    def memory(self):
        """Returns the most memory the process ever held, in MB."""
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))

    def _repeat(self, function, seconds, rows):
        function(0)  # once uncounted: it may compile
        start, n = time.perf_counter(), 0
        while n == 0 or time.perf_counter() - start < seconds:
            function(n % self.work.rows)
            n += 1
        return n * rows / (time.perf_counter() - start)


def _timed(function, *args):
    start = time.perf_counter()
    function(*args)
    return time.perf_counter() - start


def serve(peer, work):
    """Answers until the input ends. What libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    worker = Worker(peer, work)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"ok": getattr(worker, request["do"])(*request["args"])}
        except Exception as err:
            traceback.print_exc()
            answer = {"error": f"{type(err).__name__}: {err}".splitlines()[0][:200]}
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    serve(*sys.argv[1:])

"""A file is the old one or the new one, whole, whatever happens while it is written: each test really does it.

One process (`TEMPLATE`) imports and builds once, then forks a child for every try: the child saves, and is killed, runs
out of disk or meets another writer. Two models are told apart by their weights: all ones, or all twos.
"""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")

TEMPLATE = '''
import json, os, random, resource, signal, sys, time, warnings
warnings.simplefilter("ignore")
import numpy as np
from fkeras import layers as L, saving
from fkeras.models import Input, Sequential

os.chdir(sys.argv[1])

def make(value):
    model = Sequential([Input((200,)), L.Dense(300, name="a"), L.Dense(300, name="b")], name="m")
    model.set_weights([np.full(w.shape, value, "float32") for w in model.get_weights()])
    return model

ones, twos, reader = make(1), make(2), make(0)
names = ["m.h5", "m.keras", "m.weights.h5"]

def save(model, name, **options):
    (model.save_weights if "weights" in name else model.save)(name, **options)

def seen(name):
    """1 or 2: whose file it is. Anything else than a whole file of one of them is an error."""
    reader.load_weights(name)
    values = {float(v) for w in reader.get_weights() for v in np.unique(w)}
    assert values in ({1.0}, {2.0}), values
    return values.pop()

def child(work):
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException as err:
            sys.stderr.write(f"{type(err).__name__}: {err}\\n")
            sys.stderr.flush()
            os._exit(1)
    return pid

def forever(name, first, second):
    def work():
        while True:
            save(first, name)
            save(second, name)
    return work

def ended(pid):
    return os.waitpid(pid, 0)[1]

for name in names:
    save(ones, name)  # whatever is drawn or compiled first is so now
rng = random.Random(5)
results = {}
'''

KILLED = """
out = results.setdefault("killed", {})
for name in names:
    found = []
    for _ in range(12):
        pid = child(forever(name, ones, twos))
        time.sleep(0.02 + 0.1 * rng.random())
        os.kill(pid, signal.SIGKILL)
        ended(pid)
        found.append(seen(name))
    out[name] = found
"""

FULL = """
out = results.setdefault("full", {})
for name in names:
    save(ones, name)
    before = open(name, "rb").read()
    size = len(before)
    def work():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        save(twos, name)
    for limit in (1000, size // 3, size - 1000):
        status = ended(child(work))
        out.setdefault(name, []).append([os.waitstatus_to_exitcode(status), open(name, "rb").read() == before])
out["left"] = sorted(os.listdir("."))
"""

TWO = """
out = results.setdefault("two", {})
for name in names:
    def work(model):
        return lambda: [save(model, name) for _ in range(12)]
    pids = [child(work(ones)), child(work(twos))]
    out[name] = [ended(p) for p in pids] + [seen(name)]
out["left"] = sorted(os.listdir("."))
"""

READ = """
out = results.setdefault("read", {})
for name in names:
    pid = child(forever(name, ones, twos))
    out[name] = [seen(name) for _ in range(20)]
    os.kill(pid, signal.SIGKILL)
    ended(pid)
"""

ONLY_ONE = """
out = results.setdefault("only one", {})
for name in names:
    os.remove(name)
    def work():
        save(ones, name, overwrite=False)
    pids = [child(work) for _ in range(4)]
    out[name] = [os.waitstatus_to_exitcode(ended(p)) for p in pids] + [seen(name)]
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What became of all tries, and what the children said."""
    folder = tmp_path_factory.mktemp("atomic")
    text = "\n".join([TEMPLATE, FULL, TWO, READ, ONLY_ONE, KILLED, "print(json.dumps(results))"])
    done = subprocess.run(
        [sys.executable, "-c", text, str(folder)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1]) | {"said": done.stderr}


NAMES = ["m.h5", "m.keras", "m.weights.h5"]


def test_a_kill_at_any_instant_leaves_a_whole_file(results):
    found = results["killed"]
    for name in NAMES:
        assert len(found[name]) == 12 and set(found[name]) <= {1.0, 2.0}
    assert {v for name in NAMES for v in found[name]} == {1.0, 2.0}  # the children were in the midst of saving


def test_a_full_disk_leaves_the_old_file_and_says_so(results):
    """A limit on the size of files: writing beyond it fails as on a full disk."""
    found, said = dict(results["full"]), results["said"]
    assert found.pop("left") == sorted(NAMES)  # nothing half written lies beside them
    assert found == {name: [[1, True]] * 3 for name in NAMES}
    for name in NAMES:
        assert said.count(f"Cannot write '{name}': ") == 6  # 3 for want of room, 3 that may not overwrite
    assert said.count("What was there before is as it was.") == 9


def test_two_processes_leave_one_whole_file(results):
    found = results["two"]
    assert found["left"] == sorted(NAMES)  # nothing half written lies beside them
    for name in NAMES:
        assert found[name][:2] == [0, 0] and found[name][2] in (1.0, 2.0)


def test_a_reader_sees_the_old_file_or_the_new_one(results):
    found = results["read"]
    for name in NAMES:
        assert len(found[name]) == 20 and set(found[name]) <= {1.0, 2.0}


def test_of_many_that_may_not_overwrite_one_writes(results):
    found, said = dict(results["only one"]), results["said"]
    for name in NAMES:
        assert sorted(found[name][:4]) == [0, 1, 1, 1] and found[name][4] == 1.0
    assert said.count("FileExistsError") == 9

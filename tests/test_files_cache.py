"""The cache of compiled programs: an entry that is not what was put under its name is compiled anew."""

import json
import os
import subprocess
import sys

CHECK = """
import collections, json, os, sys, warnings
import jax
import jax.numpy as jnp
from fkeras.compiled import cache

warnings.simplefilter("error")
cache.use_cache()
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
counts = collections.Counter()
jax.monitoring.register_event_listener(lambda name, **_: counts.update([name.rpartition("/")[2]]))
place = jax.config.jax_compilation_cache_dir
programs = {"first": jax.jit(lambda x: x * 2 + 1), "second": jax.jit(lambda x, y: jnp.sin(x) - y)}
one, two = jnp.arange(4.0), jnp.ones(4)

def run():
    jax.clear_caches()
    counts.clear()
    found = [programs["first"](one).tolist(), programs["second"](one, two).tolist()]
    return found, counts["cache_hits"], counts["cache_misses"]

def entries():
    names = [n for n in os.listdir(place) if n.startswith("jit__lambda") and n.endswith("-cache")]
    return sorted(os.path.join(place, n) for n in names)

def change(kind):
    paths = entries()
    held = [open(p, "rb").read() for p in paths]
    if kind == "swapped":
        held = held[::-1]
    elif kind == "damaged":
        held = [h[:-9] + bytes([h[-9] ^ 4]) + h[-8:] for h in held]
    elif kind == "cut":
        held = [h[: len(h) // 2] for h in held]
    elif kind == "empty":
        held = [b"" for h in held]
    elif kind == "unsealed":
        held = [h[32:] for h in held]
    for path, data in zip(paths, held):
        open(path, "wb").write(data)

results = {"fresh": run(), "entries": len(entries()), "again": run()}
for kind in ("swapped", "damaged", "cut", "empty", "unsealed"):
    change(kind)
    results[kind] = [run(), run()]
print(json.dumps(results))
"""


def test_entries_of_another_program_and_damaged_ones_are_compiled_anew(tmp_path):
    env = os.environ | {"FKERAS_COMPILATION_CACHE": str(tmp_path)}
    env.pop("JAX_COMPILATION_CACHE_DIR", None)
    done = subprocess.run(
        [sys.executable, "-c", CHECK], capture_output=True, text=True, check=False, env=env, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    results = json.loads(done.stdout.splitlines()[-1])
    right, _, missed = results["fresh"]
    assert missed >= 2 and results["entries"] == 2
    assert results["again"] == [right, 2, 0]  # read back
    for kind in ("swapped", "damaged", "cut", "empty", "unsealed"):
        assert results[kind] == [[right, 0, 2], [right, 2, 0]], kind  # compiled anew, and kept

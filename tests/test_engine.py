"""The engine: the compilation cache between processes, reading ahead, bounded memory."""

import os
import pathlib
import stat
import subprocess
import sys

TRAIN = """
import fkeras, jax, numpy as np
found = []
jax.monitoring.register_event_listener(lambda event, **_: found.append(event))
model = fkeras.Sequential([fkeras.layers.Input((4,)), fkeras.layers.Dense(3)])
model.compile("adam", "mse")
model.fit(np.ones((8, 4)), np.ones((8, 3)), verbose=0)
print(found.count("/jax/compilation_cache/cache_hits"), jax.config.jax_compilation_cache_dir)
"""


def _train(cache, code=TRAIN, **env):
    env = os.environ | {"FKERAS_COMPILATION_CACHE": str(cache)} | env
    out = subprocess.run([sys.executable, "-W", "error", "-c", code], env=env, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    hits, place = out.stdout.split()
    return int(hits), None if place == "None" else pathlib.Path(place)


def test_a_second_process_finds_what_the_first_compiled(tmp_path):
    hits, place = _train(tmp_path / "cache")
    assert hits == 0 and place.parent == tmp_path / "cache" and list(place.iterdir())
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    hits, _ = _train(tmp_path / "cache")
    assert hits > 0
    place.chmod(0o777)  # somebody else could put programs there
    assert _train(tmp_path / "cache") == (0, None)


def test_the_compilation_cache_can_be_turned_off(tmp_path):
    assert _train("0", XDG_CACHE_HOME=str(tmp_path)) == (0, None)
    assert not list(tmp_path.iterdir())


def test_the_cache_forgets_what_was_longest_unused(tmp_path, monkeypatch):
    from fkeras import cache

    for age, name in enumerate(("new", "middle", "old")):
        (tmp_path / name).write_bytes(bytes(100))
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    monkeypatch.setattr(cache, "LARGEST", 200)
    cache._trim(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["middle", "new"]

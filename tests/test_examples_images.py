"""The example with a folder of pictures learns from few of them, and ends in a picture."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent


def test_few_pictures_do_on_a_trunk_that_has_seen_others(tmp_path):
    """In a process of its own, as people run it: XLA's options are those that the library chooses."""
    pytest.importorskip("matplotlib")
    env = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT), *sys.path])
    command = [sys.executable, str(ROOT / "examples" / "images.py"), "--few", "6", "--epochs", "6", "20", "--out", "."]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    said, _, share = done.stdout.strip().rpartition("on the trunk ")
    assert "6 pictures of each class; right of 98 unseen ones" in said
    assert float(share.rstrip("%")) > 50  # always the commonest class: 38
    assert (tmp_path / "images.png").read_bytes()[:4] == b"\x89PNG"

"""What `import fkeras` costs beside `import jax`: `python -m benchmarks.import_time`.

Starts fresh interpreters in turn, so that a machine that slows down slows both, and compares medians.
"""

import os
import statistics
import subprocess
import sys
import time


def environment():
    """Returns an environment in which an interpreter keeps its byte code, as it does where nobody forbids it."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def seconds(statement):
    """Wall time of one fresh interpreter that runs `statement`."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], env=environment(), check=True)
    return time.perf_counter() - start


def main(runs=9):
    for statement in ("import jax", "import fkeras"):
        seconds(statement)  # once uncounted: byte code and the file cache
    pairs = [(seconds("import jax"), seconds("import fkeras")) for _ in range(runs)]
    jax_time, both = (statistics.median(t) for t in zip(*pairs, strict=True))
    extra = statistics.median(b - a for a, b in pairs)
    print(f"import jax {jax_time:.2f} s, import fkeras {both:.2f} s, difference {extra:.2f} s, medians of {runs} pairs")
    return extra


if __name__ == "__main__":
    main()

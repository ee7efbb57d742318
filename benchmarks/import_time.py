"""What `import fkeras` costs beside `import jax`: `python -m benchmarks.import_time`.

Starts fresh interpreters in turn, so that a machine that slows down slows both, and compares within each pair.
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


def report(pairs):
    """Returns what is printed of pairs (seconds of `import jax`, of `import fkeras`), and the median difference.

    The difference is taken within each pair, since both of a pair meet the machine in the same state. It is no
    difference of the two medians, which may come from different pairs.
    """
    jax_time, both = (statistics.median(t) for t in zip(*pairs, strict=True))
    extra = sorted(b - a for a, b in pairs)
    typical = statistics.median(extra)
    return (
        f"import fkeras takes {typical:.2f} s more than import jax: median of the differences within {len(pairs)} "
        f"pairs, which range from {extra[0]:.2f} to {extra[-1]:.2f} s.\n"
        f"Each alone, start of Python included: import jax {jax_time:.2f} s, import fkeras {both:.2f} s (medians)."
    ), typical


def main(runs=9):
    for statement in ("import jax", "import fkeras"):
        seconds(statement)  # once uncounted: byte code and the file cache
    text, extra = report([(seconds("import jax"), seconds("import fkeras")) for _ in range(runs)])
    print(text)
    return extra


if __name__ == "__main__":
    main()

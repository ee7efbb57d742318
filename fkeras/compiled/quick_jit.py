"""Programs that run once: compiled with little optimization, because compiling is what they cost."""

import jax

from fkeras.compiled.cache import use_cache

# Drawing one weight takes XLA's CPU backend 0.65 s of compile time with optimization and 0.22 s without (JAX 0.10.2,
# two cores), and runs 3.4 times slower: worth it below this many numbers (0.09 s for a million).
SMALL = 1 << 20


def jit_once(function, size=0):
    """Returns `function` compiled for few runs on arrays of up to `size` numbers. The numbers are the same."""
    use_cache()
    quick = size < SMALL and jax.default_backend() == "cpu"
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0} if quick else None)

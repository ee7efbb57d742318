"""The ops of `keras.ops.linalg`: `jax.numpy.linalg` by Keras's names."""

import jax
import jax.numpy as jnp

from fkeras.core.operations import op, row, to_float

HOME = "linalg"

row(HOME, "det(x)", jnp.linalg.det, "Determinant.", "Det", source="jax.numpy.linalg.det")
row(HOME, "eig(x)", lambda x: tuple(jnp.linalg.eig(x)), "(eigenvalues, eigenvectors as columns) of square matrices, "
    "complex; on the CPU only.", "Eig", source="jax.numpy.linalg.eig")  # fmt: skip
row(HOME, "eigh(x)", lambda x: tuple(jnp.linalg.eigh(x)), "(eigenvalues, eigenvectors as columns) of symmetric "
    "matrices, the smallest first.", "Eigh", source="jax.numpy.linalg.eigh")  # fmt: skip
row(HOME, "inv(x)", jnp.linalg.inv, "Inverse matrix.", "Inv", source="jax.numpy.linalg.inv")
row(HOME, "solve(a, b)", jnp.linalg.solve, "x with a @ x = b.", "Solve", source="jax.numpy.linalg.solve")
row(HOME, "solve_triangular(a, b | lower=False)", lambda a, b, **how: jax.scipy.linalg.solve_triangular(a, b, **how),
    "x with a @ x = b, of whose matrix one triangle counts.", "SolveTriangular",
    source="jax.scipy.linalg.solve_triangular")  # fmt: skip
row(HOME, "lstsq(a, b | rcond=None)", lambda a, b, rcond=None: jnp.linalg.lstsq(a, b, rcond=rcond)[0],
    "x for which |a @ x - b| is smallest.", "Lstsq", source="jax.numpy.linalg.lstsq")  # fmt: skip


@op(HOME, "Cholesky", settings="upper")
def cholesky(x, upper=False):
    """Triangular L with L @ L^T = x, or its transpose.

    Raises:
        ValueError: Eagerly, the matrix is not positive definite; in a compiled program the result is NaN.

    Source: `jax.numpy.linalg.cholesky`.
    """
    out = jnp.linalg.cholesky(x, upper=upper)
    if not isinstance(out, jax.core.Tracer) and bool(jnp.any(jnp.isnan(out))):
        raise ValueError(f"ops.cholesky: the matrix, of shape {out.shape}, is not positive definite.")
    return out


@op(HOME, "CholeskyInverse", settings="upper")
def cholesky_inverse(x, upper=False):
    """Inverse of the matrix whose Cholesky factor is `x`.

    Source: `torch.cholesky_inverse`.
    """
    x = jnp.asarray(x)
    inverse = jax.scipy.linalg.solve_triangular(x, jnp.eye(x.shape[-1], dtype=x.dtype), lower=not upper)
    other = inverse.swapaxes(-1, -2)
    return inverse @ other if upper else other @ inverse


@op(HOME, "LuFactor")
def lu_factor(x):
    """(L and U in one matrix, rows that were exchanged) of square matrices.

    Source: `jax.scipy.linalg.lu_factor`.
    """
    return tuple(jnp.vectorize(jax.scipy.linalg.lu_factor, signature="(n,m)->(n,m),(k)")(x))


@op(HOME, "Norm", settings="ord axis keepdims")
def norm(x, ord=None, axis=None, keepdims=False):
    """Norm of vectors or matrices, by default the Euclidean one of all elements.

    Source: `jax.numpy.linalg.norm`, by Keras's dtypes.
    """
    axis = tuple(axis) if isinstance(axis, list) else axis
    return jnp.linalg.norm(to_float(x), ord=ord, axis=axis, keepdims=keepdims)


@op(HOME, "Qr", settings="mode")
def qr(x, mode="reduced"):
    """(Q, R) with Q @ R = x, Q orthogonal, R upper triangular; "reduced" or "complete".

    Raises:
        ValueError: There is no such mode.

    Source: `jax.numpy.linalg.qr`.
    """
    if mode not in ("reduced", "complete"):
        raise ValueError(f"ops.qr: expected mode 'reduced' or 'complete', got {mode!r}.")
    return tuple(jnp.linalg.qr(x, mode=mode))


@op(HOME, "SVD", settings="full_matrices compute_uv")
def svd(x, full_matrices=True, compute_uv=True):
    """(U, S, V^T) with U @ diag(S) @ V^T = x, or S alone.

    Source: `jax.numpy.linalg.svd`.
    """
    out = jnp.linalg.svd(x, full_matrices=full_matrices, compute_uv=compute_uv)
    return tuple(out) if compute_uv else out


def _matrix(x, name):
    x = jnp.asarray(x)
    if x.ndim < 2:
        raise ValueError(f"ops.{name}: expected at least two axes, got shape {x.shape}.")
    return x


@op(HOME, "MatrixRank", settings="tol")
def matrix_rank(x, tol=None):
    """Number of singular values above a bound, as int32.

    Source: `jax.numpy.linalg.matrix_rank`.
    """
    return jnp.linalg.matrix_rank(_matrix(x, "matrix_rank"), tol).astype("int32")


@op(HOME, "Pinv", settings="rcond")
def pinv(x, rcond=None):
    """Moore-Penrose inverse; singular values below `rcond` times the largest count as 0.

    Source: `jax.numpy.linalg.pinv`.
    """
    return jnp.linalg.pinv(_matrix(x, "pinv"), rcond)


@op(HOME, "JVP", settings="has_aux", raw="fun primals tangents")
def jvp(fun, primals, tangents, has_aux=False):
    """(fun(*primals), its derivative in the direction of `tangents`), and what else `fun` returns with `has_aux`.

    Source: `jax.jvp`.
    """
    primals, tangents = jax.tree.map(jnp.asarray, (tuple(primals), tuple(tangents)))
    return jax.jvp(fun, primals, tangents, has_aux=has_aux)

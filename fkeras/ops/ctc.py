"""Connectionist temporal classification with lengths: the loss, and two ways to read labels off frames."""

import jax
import jax.numpy as jnp
from jax import lax

_NEVER = -1e5  # log of a probability that is none: finite, so that an impossible target has finite slopes


def loss(target, target_length, output_length, logits, blank=0):
    """-log of the summed probability of all alignments of each row's labels with its frames.

    The forward recursion over blank l1 blank l2 ... blank in log space (Graves et al., 2006, section 4.1); a row's
    frames behind its length leave it as it is.

    Args:
        target: int32 [B, L].
        target_length, output_length: int32 [B].
        logits: Float array [B, T, classes].

    Returns:
        Array [B].

    Example:
        >>> one = jnp.ones(1, "int32")
        >>> round(loss(one[None], one, one, jnp.zeros((1, 1, 2))).item(), 4)
        0.6931
    """
    B, L = target.shape
    states = jnp.full((B, 2 * L + 1), blank, jnp.int32).at[:, 1::2].set(target)
    before = jnp.pad(states, ((0, 0), (2, 0)), constant_values=blank)[:, :-2]
    is_label = jnp.arange(2 * L + 1)[None, :] % 2 == 1
    may_skip = is_label & (jnp.arange(2 * L + 1)[None, :] > 1) & (states != before)
    scores = jnp.take_along_axis(jax.nn.log_softmax(logits), states[:, None, :], axis=2, mode="clip").swapaxes(0, 1)

    def step(alpha, now):
        t, score = now
        one, two = (jnp.pad(alpha, ((0, 0), (n, 0)), constant_values=_NEVER)[:, : 2 * L + 1] for n in (1, 2))
        reached = jnp.logaddexp(jnp.logaddexp(alpha, one), jnp.where(may_skip, two, _NEVER)) + score
        return jnp.where(t < output_length[:, None], reached, alpha), None

    start = jnp.where(jnp.arange(2 * L + 1)[None, :] < 2, scores[0], _NEVER)
    alpha, _ = lax.scan(step, start, (jnp.arange(1, scores.shape[0]), scores[1:]))
    ends = 2 * target_length[:, None]
    last = jnp.take_along_axis(alpha, ends, axis=1)[:, 0]
    label = jnp.take_along_axis(alpha, jnp.maximum(ends - 1, 0), axis=1)[:, 0]
    return -jnp.where(target_length > 0, jnp.logaddexp(last, label), last)


def greedy(logits, lengths, merge_repeated=True, blank=0):
    """Reads the best class of each frame, without blanks and, if asked for, without repetitions.

    Returns:
        (int32 [1, B, T], -1 behind the last label; [B, 1], minus the sum of the best logits).

    Example:
        >>> greedy(jnp.log(jnp.array([[[0.1, 0.9], [0.1, 0.9], [0.8, 0.2]]])), jnp.array([3]))[0].tolist()
        [[[1, -1, -1]]]
    """
    T = logits.shape[1]
    real = jnp.arange(T)[None, :] < lengths[:, None]
    best = jnp.where(real, jnp.argmax(logits, -1), blank)
    score = -jnp.sum(jnp.where(real, jnp.max(logits, -1), 0.0), axis=1, keepdims=True)
    kept = best != blank
    if merge_repeated:
        kept &= jnp.pad(best[:, 1:] != best[:, :-1], ((0, 0), (1, 0)), constant_values=True)
    order = jnp.argsort(jnp.where(kept, jnp.arange(T)[None, :], T), axis=-1)  # those kept move to the front
    found = jnp.take_along_axis(jnp.where(kept, best, -1), order, axis=-1)
    return found[None], score


def beam_search(logits, lengths, beam_width, top_paths, blank=0):
    """Keeps the most probable label sequences from frame to frame, each with all alignments that lead to it.

    A beam holds, for each of its sequences, the log-probability that it ends in a blank and that it ends in its last
    label (Graves, 2008, section 7.5.3; Hannun et al., 2014, arXiv:1408.2873). At each frame a sequence stays, by a
    blank or by its last label, or grows by a label. What grew is added to a sequence of the beam that is the same.

    Returns:
        (int32 [paths, B, T], -1 behind the last label; [B, paths], their log-probabilities, the best first).

    Example:
        >>> paths, scores = beam_search(jnp.log(jnp.array([[[0.6, 0.4], [0.6, 0.4]]])), jnp.array([2]), 4, 2)
        >>> paths[:, 0].tolist(), [round(p, 2) for p in jnp.exp(scores)[0].tolist()]  # 1 = 0.4 0.4 + 0.4 0.6 + 0.6 0.4
        ([[1, -1], [-1, -1]], [0.64, 0.36])
    """
    _, T, classes = logits.shape
    log_p = jax.nn.log_softmax(logits)
    W = beam_width
    labels = jnp.arange(classes)

    def one(log_p, length):
        paths = jnp.full((W, T), -1, jnp.int32)
        sizes = jnp.zeros(W, jnp.int32)
        in_blank = jnp.full(W, -jnp.inf).at[0].set(0.0)
        in_label = jnp.full(W, -jnp.inf)

        def step(beam, now):
            t, p = now
            return jax.tree.map(lambda new, old: jnp.where(t < length, new, old), _advance(beam, p), beam), None

        def _advance(beam, p):
            paths, sizes, in_blank, in_label = beam
            total = jnp.logaddexp(in_blank, in_label)
            last = jnp.where(sizes > 0, jnp.take_along_axis(paths, jnp.maximum(sizes - 1, 0)[:, None], 1)[:, 0], -1)
            stay_blank = total + p[blank]
            stay_label = jnp.where(sizes > 0, in_label + p[last], -jnp.inf)
            # [W, classes]: by a label that is the last one only behind a blank
            grown = jnp.where(labels[None, :] == last[:, None], in_blank[:, None], total[:, None]) + p[None, :]
            grown = jnp.where(labels[None, :] == blank, -jnp.inf, grown)
            # Sequence j of the beam is sequence i with one label more: i's growth by that label belongs to j.
            shorter = jnp.where(jnp.arange(T)[None, :] == sizes[:, None] - 1, -1, paths)
            is_child = jnp.all(shorter[:, None, :] == paths[None, :, :], -1)
            is_child &= (sizes[:, None] == sizes[None, :] + 1) & jnp.isfinite(total)[:, None]  # [j, i]
            gain = jnp.where(is_child, grown[:, jnp.maximum(last, 0)].T, -jnp.inf)
            stay_label = jnp.logaddexp(stay_label, jax.nn.logsumexp(gain, axis=1))
            taken = jnp.zeros((W, classes), bool).at[:, jnp.maximum(last, 0)].max(is_child.T)
            grown = jnp.where(taken, -jnp.inf, grown)
            every = jnp.concatenate([jnp.logaddexp(stay_blank, stay_label), grown.ravel()])
            _, best = lax.top_k(every, W)
            stays = best < W
            i, label = jnp.where(stays, best, (best - W) // classes), (best - W) % classes
            here = (jnp.arange(T)[None, :] == sizes[i][:, None]) & ~stays[:, None]
            return (
                jnp.where(here, label[:, None], paths[i]),
                sizes[i] + ~stays,
                jnp.where(stays, stay_blank[i], -jnp.inf),
                jnp.where(stays, stay_label[i], every[best]),
            )

        (paths, _, in_blank, in_label), _ = lax.scan(step, (paths, sizes, in_blank, in_label), (jnp.arange(T), log_p))
        scores, best = lax.top_k(jnp.logaddexp(in_blank, in_label), top_paths)
        return paths[best], scores

    paths, scores = jax.vmap(one)(log_p, lengths)
    return paths.swapaxes(0, 1), scores

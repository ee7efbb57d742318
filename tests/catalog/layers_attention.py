"""Rows of the attention layers: all take several inputs, so that they have laws of their own."""

import dataclasses

import numpy as np

from tests.catalog.layer_row import LayerRow


@dataclasses.dataclass(frozen=True)
class AttentionRow(LayerRow):
    """A row whose `shape` is a list of shapes.

    Args:
        call: Flags of the call, in both libraries.
        masks: Names among "query", "value", "key" whose steps are masked, and "attention" for an attention mask.
        joined: The inputs are given as one list instead of one by one.
    """

    call: dict = dataclasses.field(default_factory=dict)
    masks: tuple = ()
    joined: bool = False

    def input(self):
        random = np.random.default_rng(7)
        return [random.normal(size=s).astype("float32") for s in self.shape]

    def mask(self, name):
        """Returns the bool mask of that name; every query may look at step 0."""
        random = np.random.default_rng(len(name))
        (B, T), S = self.shape[0][:2], self.shape[1][1]
        mask = random.random({"query": (B, T), "value": (B, S), "key": (B, S), "attention": (B, T, S)}[name]) < 0.6
        mask[..., 0] = True
        return mask


def _row(kind, *shapes, call=None, masks=(), grad=True, **kwargs):
    shown = ",".join([*map(str, shapes), *(f"{k}={v}" for k, v in {**kwargs, **(call or {})}.items()), *masks])
    joined = kind in ("Attention", "AdditiveAttention")
    random = bool(kwargs.get("dropout"))
    return AttentionRow(
        f"{kind}({shown})", kind, kwargs, list(shapes), grad=grad, random=random, call=call or {}, masks=tuple(masks),
        joined=joined,
    )  # fmt: skip


_scores, _causal = {"return_attention_scores": True}, {"use_causal_mask": True}
_q, _v = (2, 5, 6), (2, 7, 4)

ROWS = [
    _row("Attention", (2, 4, 3), (2, 5, 3)),
    _row("Attention", (2, 4, 3), (2, 5, 6), (2, 5, 3), use_scale=True, call=_scores),
    _row("Attention", (2, 4, 3), (2, 5, 3), call=_causal, masks=("query", "value")),
    _row("Attention", (2, 4, 3), (2, 5, 3), score_mode="concat", masks=("value",)),
    _row("Attention", (2, 4, 3), (2, 5, 3), score_mode="concat", use_scale=True, call={**_causal, **_scores}),
    _row("Attention", (2, 4, 3), (2, 5, 3), dropout=0.5),
    _row("AdditiveAttention", (2, 4, 3), (2, 5, 3), masks=("query", "value"), call=_scores),
    _row("AdditiveAttention", (2, 4, 3), (2, 5, 6), (2, 5, 3), use_scale=False, call=_causal),
    _row("MultiHeadAttention", _q, _v, num_heads=2, key_dim=3, call=_scores),
    _row("MultiHeadAttention", _q, _q, num_heads=2, key_dim=3, call=_causal),
    _row("MultiHeadAttention", _q, _v, (2, 7, 5), num_heads=2, key_dim=3, value_dim=4, use_bias=False, call=_scores),
    _row("MultiHeadAttention", _q, _v, num_heads=2, key_dim=3, output_shape=8, call={**_causal, **_scores}),
    _row("MultiHeadAttention", _q, _v, num_heads=1, key_dim=3, output_shape=(2, 3), masks=("attention",)),
    _row("MultiHeadAttention", _q, _v, num_heads=2, key_dim=3, masks=("query", "value"), call=_causal),
    _row("MultiHeadAttention", _q, _v, (2, 7, 5), num_heads=2, key_dim=3, masks=("key", "attention"), call=_scores),
    _row("MultiHeadAttention", _q, _v, num_heads=2, key_dim=3, use_gate=True, sliding_window=2),
    _row("MultiHeadAttention", _q, _q, num_heads=2, key_dim=3, sliding_window=2, call={**_causal, **_scores}),
    _row("MultiHeadAttention", _q, _v, num_heads=2, key_dim=3, dropout=0.5, activity_regularizer="l2"),
    _row("MultiHeadAttention", (2, 3, 4, 6), (2, 3, 4, 6), num_heads=2, key_dim=3, call=_scores),
    _row("MultiHeadAttention", (2, 3, 4, 6), (2, 3, 5, 6), num_heads=2, key_dim=3, attention_axes=2, call=_scores),
    _row("MultiHeadAttention", (2, 3, 4, 6), (2, 5, 4, 6), num_heads=2, key_dim=3, attention_axes=-3),
    _row("MultiHeadAttention", (2, 3, 4, 6), (2, 5, 2, 6), num_heads=2, key_dim=3, value_dim=2, attention_axes=(1, 2)),
    _row("GroupQueryAttention", _q, (2, 7, 6), head_dim=3, num_query_heads=4, num_key_value_heads=2, call=_scores),
    _row(
        "GroupQueryAttention", _q, _q, head_dim=3, num_query_heads=4, num_key_value_heads=1, use_gate=True, call=_causal
    ),
    _row(
        "GroupQueryAttention", _q, (2, 7, 6), head_dim=3, num_query_heads=2, num_key_value_heads=2, use_bias=False,
        masks=("query", "value", "attention"),
    ),
]  # fmt: skip

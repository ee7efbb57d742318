"""Spectrograms: the numbers of real Keras for every option."""

import jax
import numpy as np
import pytest

import fkeras
from fkeras import layers

SOUND = np.random.default_rng(0).normal(size=(2, 1000)).astype("float32")


def both(keras, name, **options):
    return [getattr(L, name)(**options) for L in (layers, keras.layers)]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"power_to_db": False, "sequence_length": 200},
        {"mag_exp": 1.0, "top_db": 20.0, "window": "hamming"},
        {"window": None, "max_freq": 3000.0, "min_freq": 100.0},
        {"ref_power": 2.0, "min_power": 0.1, "window": np.bartlett(256)},
    ],
    ids=str,
)
def test_mel_spectrograms_are_keras(keras, options):
    options = {"fft_length": 256, "sequence_stride": 128, "num_mel_bins": 20, "sampling_rate": 8000} | options
    ours, theirs = both(keras, "MelSpectrogram", **options)
    for x in (SOUND, SOUND[0]):
        got, want = ours(x), np.asarray(theirs(x))
        np.testing.assert_allclose(got, want, 1e-4, 1e-4 * np.abs(want).max())
    config = ours.get_config()
    again = type(theirs).from_config(config)
    np.testing.assert_allclose(again(SOUND), theirs(SOUND), 1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mode": "magnitude", "padding": "same"},
        {"mode": "psd", "scaling": "spectrum"},
        {"mode": "real", "window": None},
        {"mode": "imag", "window": "hamming", "periodic": True},
        {"mode": "angle"},
        {"mode": "stft", "scaling": None, "expand_dims": True},
        {"fft_length": 64, "expand_dims": True},
        {"data_format": "channels_first", "frame_step": None},
        {"data_format": "channels_first", "expand_dims": True, "padding": "same"},
    ],
    ids=str,
)
def test_stft_spectrograms_are_keras(keras, options):
    options = {"frame_length": 20, "frame_step": 7} | options
    ours, theirs = both(keras, "STFTSpectrogram", **options)
    x = SOUND[:, :100].reshape(2, 50, 2)
    x = x.swapaxes(1, 2) if options.get("data_format") else x
    got, want = np.asarray(ours(x)), np.asarray(theirs(x))
    assert got.shape == want.shape
    turns = 2 * np.pi if options.get("mode") == "angle" else np.inf  # -pi and pi are one angle
    apart = np.abs(got - want)
    assert np.minimum(apart, np.abs(apart - turns)).max() < 1e-4
    assert [w.shape for w in ours.weights] == [w.shape for w in theirs.weights]
    assert ours.get_config()["mode"] == type(theirs).from_config(ours.get_config()).mode


def test_rows_of_mel_spectrograms_meet_in_the_largest_value():
    """As in Keras: so batches are computed as they are."""
    layer = layers.MelSpectrogram(fft_length=64, sequence_stride=32, num_mel_bins=4, top_db=5.0)
    model = fkeras.Sequential([fkeras.Input((200,)), layer])
    x = SOUND[:, :200].copy()
    x[1] *= 1e4
    whole = model.predict(x, verbose=0)
    np.testing.assert_allclose(whole, layer(x), 1e-5)
    assert np.ptp(whole[0]) == 0 and np.ptp(model.predict(x[:1], verbose=0)[0]) > 0
    free = fkeras.Sequential([fkeras.Input((None,)), layers.MelSpectrogram(power_to_db=False, fft_length=64)])
    assert free.output_shape == (None, 128, None)


def test_large_settings_take_no_memory_until_they_are_used():
    huge = layers.MelSpectrogram(fft_length=10**11, num_mel_bins=10**9)
    assert huge.compute_output_shape((None, 10**12)) == (None, 10**9, 10**12 // 512 + 1)
    kernels = layers.STFTSpectrogram(frame_length=10**10, fft_length=10**11, mode="psd")
    assert kernels.declare((None, None, 1))["real_kernel"].shape == (10**10, 1, 10**11 // 2 + 1)


def test_kernels_of_spectrograms_are_trained_or_frozen():
    x, y = SOUND[:, :100, None], np.zeros((2, 1), "float32")
    for trainable in (True, False):
        layer = layers.STFTSpectrogram(frame_length=20, trainable=trainable)
        model = fkeras.Sequential([fkeras.Input((100, 1)), layer, layers.GlobalAveragePooling1D(), layers.Dense(1)])
        before = layer.get_weights()
        model.compile("sgd", "mse")
        model.fit(x, y, verbose=0)
        assert all((a != b).any() == trainable for a, b in zip(before, layer.get_weights(), strict=True))
    grads = jax.grad(lambda p: layers.STFTSpectrogram(frame_length=20).apply(p, {}, 0 * x)[0].sum())(
        layers.STFTSpectrogram(frame_length=20).init(jax.random.key(0), x.shape)[0]
    )
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(grads))  # silence


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: layers.MelSpectrogram(sequence_length=99, fft_length=64),
            "expected sequence_length up to fft_length=64",
        ),
        (lambda: layers.MelSpectrogram(window="square"), "expected window 'hann', 'hamming', values or None"),
        (lambda: layers.MelSpectrogram(fft_length=64)(SOUND[:, :20]), "expected more than fft_length / 2 = 32 samples"),
        (lambda: layers.MelSpectrogram()(SOUND[None]), r"expected sounds \[samples\] or \[B, samples\]"),
        (lambda: layers.STFTSpectrogram(fft_length=64), "expected fft_length of at least frame_length=256, got 64"),
        (lambda: layers.STFTSpectrogram(frame_length=8, frame_step=9), "expected frame_step up to frame_length=8"),
        (lambda: layers.STFTSpectrogram(mode="power"), "expected one of 'log', 'magnitude'"),
        (lambda: layers.STFTSpectrogram()(SOUND), r"expected an input of rank 3, \[B, T, C\]"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_what_cannot_be_is_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert len(str(caught.value)) <= 300

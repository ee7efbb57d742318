"""Rows of layers that look up whole numbers, and of spectrograms; those that read text have tests of their own.

Beside Keras they are in tests/test_lookup.py and tests/test_spectrograms.py: its lookups cannot be traced by JAX.
"""

from tests.catalog.layer_row import row

ROWS = [
    row("IntegerLookup", (3, 4), kwargs={"vocabulary": [1, 3]}, ints=5, grad=False, half=False),
    row("IntegerLookup", (3, 1), kwargs={"vocabulary": [4, 0], "output_mode": "one_hot"}, ints=5, grad=False),
    row("Hashing", (3, 2), kwargs={"num_bins": 6, "output_mode": "count"}, ints=5, grad=False),
    row(
        "MelSpectrogram",
        (2, 60),
        kwargs={"fft_length": 16, "sequence_stride": 8, "num_mel_bins": 4, "power_to_db": False},
    ),
    row("STFTSpectrogram", (2, 30, 2), kwargs={"frame_length": 8, "frame_step": 3, "padding": "same"}),
    row("STFTSpectrogram", (2, 2, 30), kwargs={"mode": "stft", "frame_length": 8, "data_format": "channels_first"}),
]

"""Callbacks of livelossplot and tqdm follow a training."""

import keras
import numpy as np
from livelossplot import PlotLossesKeras
from livelossplot.outputs import ExtremaPrinter
from tqdm.keras import TqdmCallback

x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
model = keras.Sequential([keras.layers.Dense(1)])
model.compile("adam", "mse", metrics=["mae"])
plot = PlotLossesKeras(outputs=[ExtremaPrinter()])
model.fit(x, x[:, :1], epochs=2, validation_split=0.2, verbose=0, callbacks=[plot, TqdmCallback(verbose=1)])
assert len(plot.liveplot.logger.log_history["loss"]) == 2

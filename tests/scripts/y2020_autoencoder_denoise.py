from tensorflow.keras.layers import Conv1D, Conv1DTranspose, GaussianNoise
from tensorflow.keras import Model
import numpy as np
import tensorflow as tf
from tensorflow.keras import Sequential, regularizers
from tensorflow.keras.layers import (
    LSTM,
    Dense,
    RepeatVector,
    TimeDistributed,
)

x = np.random.rand(24, 6, 2).astype("float32")
lstm_autoencoder = Sequential()
lstm_autoencoder.add(LSTM(8, activation="relu", input_shape=(6, 2), return_sequences=True))
lstm_autoencoder.add(LSTM(4, activation="relu", return_sequences=False))
lstm_autoencoder.add(RepeatVector(6))
lstm_autoencoder.add(LSTM(4, activation="relu", return_sequences=True))
lstm_autoencoder.add(TimeDistributed(Dense(2)))
lstm_autoencoder.compile(
    loss="mse", optimizer=tf.keras.optimizers.Adam(lr=0.001), metrics=[tf.keras.metrics.RootMeanSquaredError()]
)
h = lstm_autoencoder.fit(x, x, epochs=1, batch_size=8, validation_split=0.25, verbose=0).history
assert "val_root_mean_squared_error" in h
cnn = tf.keras.Sequential(
    [
        tf.keras.Input(shape=(6, 2)),
        tf.keras.layers.GaussianNoise(0.1),
        tf.keras.layers.Conv1D(
            4, 3, padding="same", strides=2, activation="relu", activity_regularizer=regularizers.l1(1e-5)
        ),
        tf.keras.layers.Conv1DTranspose(2, 3, padding="same", strides=2),
    ]
)
cnn.compile("adam", tf.losses.mse if hasattr(tf, "losses") else tf.keras.losses.mse)
cnn.fit(x, x, epochs=1, verbose=0)
mae = np.mean(np.abs(cnn.predict(x) - x), axis=1)

import numpy as np
from keras.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
)
from keras.layers import LSTM, Dense, Dropout
from keras.models import Sequential
from keras.utils.np_utils import to_categorical


class LossHistory(Callback):
    def on_train_begin(self, logs={}):
        self.losses = []

    def on_batch_end(self, batch, logs={}):
        self.losses.append(logs.get("loss"))


class StopAt(Callback):
    def on_epoch_end(self, epoch, logs={}):
        if logs.get("acc") >= 0.0:
            self.model.stop_training = True


X, y = np.random.rand(16, 5, 1), to_categorical(np.random.randint(0, 6, 16), 6)
model = Sequential()
model.add(LSTM(8, batch_input_shape=(4, 5, 1), return_sequences=True, stateful=True))
model.add(LSTM(8, stateful=True))
model.add(Dropout(0.2))
model.add(Dense(6, activation="softmax"))
model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["acc"])
history = LossHistory()
filepath = "weights-improvement-{epoch:02d}-{loss:.4f}.hdf5"
callbacks_list = [
    history,
    ModelCheckpoint(filepath, monitor="loss", verbose=0, save_best_only=True, mode="min"),
    EarlyStopping(monitor="acc", patience=5),
    CSVLogger("log.csv"),
    StopAt(),
    ReduceLROnPlateau(monitor="loss", epsilon=1e-4),
    LearningRateScheduler(lambda epoch: 0.01),
]
for i in range(2):
    model.fit(X, y, nb_epoch=1, batch_size=4, verbose=0, shuffle=False, callbacks=callbacks_list)
    model.reset_states()
assert len(history.losses) == 4

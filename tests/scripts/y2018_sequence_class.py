from keras.utils import Sequence
from keras.utils.data_utils import get_file
import keras
import numpy as np
from keras.callbacks import LambdaCallback
from keras.layers import Dense, Flatten
from keras.models import Sequential


class DataGenerator(keras.utils.Sequence):
    def __init__(self, list_IDs, labels, batch_size=4, dim=(3, 3), n_classes=3, shuffle=True):
        self.dim, self.batch_size, self.labels, self.list_IDs = dim, batch_size, labels, list_IDs
        self.n_classes, self.shuffle = n_classes, shuffle
        self.on_epoch_end()

    def __len__(self):
        return int(np.floor(len(self.list_IDs) / self.batch_size))

    def __getitem__(self, index):
        indexes = self.indexes[index * self.batch_size : (index + 1) * self.batch_size]
        X = np.random.rand(self.batch_size, *self.dim)
        y = np.array([self.labels[i] for i in indexes])
        return X, keras.utils.to_categorical(y, num_classes=self.n_classes)

    def on_epoch_end(self):
        self.indexes = np.arange(len(self.list_IDs))
        if self.shuffle:
            np.random.shuffle(self.indexes)


gen = DataGenerator(list(range(16)), [i % 3 for i in range(16)])
model = Sequential([Flatten(input_shape=(3, 3)), Dense(3, activation="softmax")])
model.compile(
    optimizer=keras.optimizers.Adam(lr=0.001), loss=keras.losses.categorical_crossentropy, metrics=["accuracy"]
)
seen = []
model.fit_generator(
    generator=gen,
    validation_data=gen,
    epochs=2,
    use_multiprocessing=False,
    workers=2,
    verbose=0,
    callbacks=[LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["acc"]))],
)
assert len(seen) == 2
assert model.predict_generator(gen, steps=4).shape == (16, 3)

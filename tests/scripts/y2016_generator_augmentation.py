import numpy as np
from keras.layers import Convolution2D, Dense, Flatten, MaxPooling2D, ZeroPadding2D
from keras.models import Sequential
from keras.preprocessing.image import ImageDataGenerator

model = Sequential()
model.add(ZeroPadding2D((1, 1), input_shape=(8, 8, 3)))
model.add(Convolution2D(4, 3, 3, activation="relu", name="conv1_1"))
model.add(MaxPooling2D((2, 2), strides=(2, 2)))
model.add(Flatten())
model.add(Dense(2, activation="softmax"))
assert model.layers[1].kernel_size == (3, 3) and model.layers[1].strides == (1, 1)
model.compile(loss="categorical_crossentropy", optimizer="sgd", metrics=["accuracy"])
X, Y = np.random.rand(24, 8, 8, 3), np.eye(2)[np.random.randint(0, 2, 24)]
datagen = ImageDataGenerator(
    featurewise_center=False, rotation_range=10, width_shift_range=0.1, height_shift_range=0.1, horizontal_flip=True
)
datagen.fit(X)
history = model.fit_generator(
    datagen.flow(X, Y, batch_size=8),
    samples_per_epoch=X.shape[0],
    nb_epoch=2,
    validation_data=datagen.flow(X, Y, batch_size=8),
    nb_val_samples=16,
    verbose=0,
)
assert len(history.history["val_loss"]) == 2
assert model.optimizer.iterations == 6


def batches():
    while True:
        yield X[:8], Y[:8]


model.fit_generator(batches(), samples_per_epoch=16, nb_epoch=1, verbose=0, max_q_size=2, nb_worker=1)
assert model.optimizer.iterations == 8
assert len(model.evaluate_generator(batches(), val_samples=16)) == 2

import numpy as np
from keras.layers import AtrousConvolution2D, Cropping2D, Deconvolution2D, GlobalAveragePooling2D, TimeDistributedDense
from keras.layers.advanced_activations import LeakyReLU, PReLU
from keras.layers.core import Activation, Dense, Highway, MaxoutDense
from keras.layers.noise import GaussianNoise
from keras.models import Sequential
from keras.regularizers import WeightRegularizer, activity_l2
from keras.utils import np_utils

np.random.seed(1337)
X = np.random.rand(16, 8, 8, 1)
Y = np_utils.to_categorical(np.random.randint(0, 2, 16), nb_classes=2)
model = Sequential()
model.add(AtrousConvolution2D(4, 3, 3, atrous_rate=(2, 2), border_mode="same", input_shape=(8, 8, 1)))
model.add(LeakyReLU(alpha=0.1))
model.add(Deconvolution2D(4, 3, 3, output_shape=(None, 16, 16, 4), subsample=(2, 2), border_mode="same"))
assert model.output_shape == (None, 16, 16, 4)
model.add(PReLU())
model.add(Cropping2D(((1, 1), (2, 2)), dim_ordering="tf"))
model.add(GaussianNoise(sigma=0.1))
model.add(GlobalAveragePooling2D())
model.add(MaxoutDense(5, nb_feature=3, init="glorot_normal"))
model.add(Highway(activation="relu"))
model.add(Dense(2, init="uniform", W_regularizer=WeightRegularizer(l2=0.01), activity_regularizer=activity_l2(0.01)))
model.add(Activation("softmax"))
model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy", "precision", "fmeasure"])
before = model.get_weights()
history = model.fit(X, Y, batch_size=8, nb_epoch=1, verbose=0)
assert sorted(history.history) == ["accuracy", "fmeasure", "loss", "precision"]
assert 0 <= history.history["fmeasure"][0] <= 1
assert all((a != b).any() for a, b in zip(before, model.get_weights()) if a.ndim > 1)

words = Sequential()
words.add(TimeDistributedDense(3, input_dim=4, input_length=5))
assert words.output_shape == (None, 5, 3)

from keras.layers import Dense, Merge, Dropout, Activation
from keras.utils.visualize_util import plot
from keras.layers.core import Reshape, Permute
import numpy as np
from keras.layers import Dense, Merge
from keras.layers.advanced_activations import PReLU
from keras.layers.normalization import BatchNormalization
from keras.models import Sequential
from keras.optimizers import SGD

left = Sequential()
left.add(Dense(8, input_shape=(5,), init="glorot_uniform"))
left.add(PReLU())
right = Sequential()
right.add(Dense(8, input_dim=3))
right.add(BatchNormalization())
model = Sequential()
model.add(Merge([left, right], mode="concat", concat_axis=1))
model.add(Dense(10, activation="softmax", W_constraint=None))
sgd = SGD(lr=0.01, decay=1e-6, momentum=0.9, nesterov=True)
model.compile(loss="categorical_crossentropy", optimizer=sgd)
a, b = np.random.rand(20, 5), np.random.rand(20, 3)
t = np.eye(10)[np.random.randint(0, 10, 20)]
model.fit([a, b], t, batch_size=5, nb_epoch=2, verbose=0)
assert model.predict([a, b]).shape == (20, 10)

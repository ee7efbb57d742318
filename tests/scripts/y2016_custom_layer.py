from keras import initializations, activations, regularizers, constraints
from keras.engine.topology import Layer, InputSpec
import numpy as np
from keras import backend as K
from keras.engine.topology import Layer
from keras.layers import Activation, Dense
from keras.models import Sequential
from keras.regularizers import activity_l2, l2


class Antirectifier(Layer):
    def get_output_shape_for(self, input_shape):
        shape = list(input_shape)
        shape[-1] *= 2
        return tuple(shape)

    def call(self, x, mask=None):
        x -= K.mean(x, axis=1, keepdims=True)
        x = K.l2_normalize(x, axis=1)
        return K.concatenate([K.relu(x, 0), K.relu(-x, 0)], axis=1)


class MyLayer(Layer):
    def __init__(self, output_dim, **kwargs):
        self.output_dim = output_dim
        super().__init__(**kwargs)

    def build(self, input_shape):
        self.W = self.add_weight((input_shape[1], self.output_dim), initializer="glorot_uniform", name="W")
        super().build(input_shape)

    def call(self, x, mask=None):
        return K.dot(x, self.W)

    def get_output_shape_for(self, input_shape):
        return (input_shape[0], self.output_dim)


model = Sequential()
model.add(Dense(8, input_shape=(6,), W_regularizer=l2(0.01), activity_regularizer=activity_l2(0.01)))
model.add(Antirectifier())
model.add(MyLayer(4))
model.add(Activation("softmax"))
model.compile(loss="categorical_crossentropy", optimizer="rmsprop", metrics=["accuracy"])
X, Y = np.random.rand(20, 6), np.eye(4)[np.random.randint(0, 4, 20)]
model.fit(X, Y, batch_size=4, nb_epoch=1, verbose=0)
assert model.output_shape == (None, 4)

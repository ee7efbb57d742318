import keras.backend as K
import numpy as np
from keras.layers import Dense, Input, LeakyReLU
from keras.layers.merge import _Merge
from keras.models import Model, Sequential
from keras.optimizers import RMSprop


class RandomWeightedAverage(_Merge):
    def _merge_function(self, inputs):
        weights = K.random_uniform((K.shape(inputs[0])[0], 1))
        return (weights * inputs[0]) + ((1 - weights) * inputs[1])


def wasserstein_loss(y_true, y_pred):
    return K.mean(y_true * y_pred)


critic = Sequential([Dense(8, input_dim=2), LeakyReLU(0.2), Dense(1)])
critic.compile(loss=wasserstein_loss, optimizer=RMSprop(lr=0.00005), metrics=["accuracy"])
for _ in range(2):
    loss = critic.train_on_batch(np.random.rand(4, 2), -np.ones((4, 1)))
    for l in critic.layers:
        weights = [np.clip(w, -0.01, 0.01) for w in l.get_weights()]
        l.set_weights(weights)
a, b = Input((2,)), Input((2,))
mixed = RandomWeightedAverage()([a, b])
assert Model([a, b], mixed).predict([np.zeros((4, 2)), np.ones((4, 2))]).shape == (4, 2)
assert abs(critic.get_weights()[0]).max() <= 0.0101

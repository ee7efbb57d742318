import numpy as np
from keras import backend as K
from keras.layers import Convolution2D, Input, MaxPooling2D
from keras.models import Model

img = Input(shape=(8, 8, 3))
out = MaxPooling2D((2, 2))(Convolution2D(4, 3, 3, activation="tanh", border_mode="same", name="c1")(img))
model = Model(img, out)
layer_dict = dict([(layer.name, layer) for layer in model.layers])
layer_output = layer_dict["c1"].output
loss = K.mean(layer_output[:, :, :, 0])
grads = K.gradients(loss, img)[0]
grads /= K.sqrt(K.mean(K.square(grads))) + 1e-5
iterate = K.function([img], [loss, grads])
x = np.random.random((1, 8, 8, 3))
first = iterate([x])[0]
for i in range(3):
    loss_value, grads_value = iterate([x])
    x += grads_value * 0.1
assert iterate([x])[0] > first
get_feature = K.function([model.layers[0].input, K.learning_phase()], [model.get_layer("c1").output])
assert get_feature([x, 0])[0].shape == (1, 8, 8, 4)

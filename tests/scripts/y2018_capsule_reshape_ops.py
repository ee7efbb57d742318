from keras.layers import Layer
import keras
from keras.utils import to_categorical
import numpy as np
from keras import backend as K
from keras import layers, models, optimizers


def squash(vectors, axis=-1):
    s_squared_norm = K.sum(K.square(vectors), axis, keepdims=True)
    return s_squared_norm / (1 + s_squared_norm) / K.sqrt(s_squared_norm + K.epsilon()) * vectors


class Length(layers.Layer):
    def call(self, inputs, **kwargs):
        return K.sqrt(K.sum(K.square(inputs), -1))

    def compute_output_shape(self, input_shape):
        return input_shape[:-1]


class Mask(layers.Layer):
    def call(self, inputs, **kwargs):
        if type(inputs) is list:
            inputs, mask = inputs
        else:
            x = K.sqrt(K.sum(K.square(inputs), -1))
            mask = K.one_hot(indices=K.argmax(x, 1), num_classes=x.shape[1])
        return K.batch_flatten(inputs * K.expand_dims(mask, -1))

    def compute_output_shape(self, input_shape):
        if type(input_shape[0]) is tuple:
            return tuple([None, input_shape[0][1] * input_shape[0][2]])
        return tuple([None, input_shape[1] * input_shape[2]])


def margin_loss(y_true, y_pred):
    L = y_true * K.square(K.maximum(0.0, 0.9 - y_pred)) + 0.5 * (1 - y_true) * K.square(K.maximum(0.0, y_pred - 0.1))
    return K.mean(K.sum(L, 1))


x = layers.Input(shape=(12,))
caps = layers.Lambda(squash)(layers.Reshape(target_shape=[3, 4])(layers.Dense(12)(x)))
out_caps = Length(name="capsnet")(caps)
y = layers.Input(shape=(3,))
masked_by_y = Mask()([caps, y])
masked = Mask()(caps)
decoder = models.Sequential(name="decoder")
decoder.add(layers.Dense(8, activation="relu", input_dim=12))
decoder.add(layers.Dense(12, activation="sigmoid"))
train_model = models.Model([x, y], [out_caps, decoder(masked_by_y)])
eval_model = models.Model(x, [out_caps, decoder(masked)])
train_model.compile(
    optimizer=optimizers.Adam(lr=0.001),
    loss=[margin_loss, "mse"],
    loss_weights=[1.0, 0.392],
    metrics={"capsnet": "accuracy"},
)
data, labels = np.random.rand(12, 12), np.eye(3)[np.random.randint(0, 3, 12)]
train_model.fit([data, labels], [labels, data], batch_size=4, epochs=1, verbose=0)
assert eval_model.predict(data)[0].shape == (12, 3)

from tensorflow.keras.layers import Dropout
from tensorflow.python.keras.utils.np_utils import to_categorical
from tensorflow.python.keras.layers import Activation
import numpy as np
from tensorflow.keras import regularizers
from tensorflow.keras.layers import (
    Add,
    BatchNormalization,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    GlobalAveragePooling2D,
    Input,
    ReLU,
)
from tensorflow.keras.models import Model
from tensorflow.keras.optimizers import SGD, Adam
from tensorflow.python.keras import backend as K


def block(x, filters):
    y = DepthwiseConv2D(3, padding="same", kernel_initializer="he_normal", use_bias=False)(x)
    y = ReLU(6.0)(BatchNormalization()(y))
    y = Conv2D(filters, 1, kernel_regularizer=regularizers.l2(1e-4))(y)
    return Add()([x, y])


inp = Input(shape=(8, 8, 3))
base_model = Model(inp, block(block(inp, 3), 3))
for layer in base_model.layers[:-3]:
    layer.trainable = False
x = base_model.output
x = GlobalAveragePooling2D()(x)
x = Dense(8, activation="relu")(x)
x = Dropout(0.5)(x)
predictions = Dense(2, activation="softmax")(x)
model = Model(inputs=base_model.input, outputs=predictions)
model.compile(optimizer=Adam(lr=0.0001, decay=1e-6), loss="sparse_categorical_crossentropy", metrics="accuracy")
data, labels = np.random.rand(16, 8, 8, 3), np.random.randint(0, 2, 16)
model.fit(data, labels, epochs=1, verbose=0)
for layer in model.layers:
    layer.trainable = True
model.compile(
    optimizer=SGD(learning_rate=0.0001, momentum=0.9), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
)
model.fit(data, labels, epochs=1, verbose=0)
K.set_value(model.optimizer.lr, 0.5 * K.get_value(model.optimizer.lr))
assert K.count_params(model.layers[-1].kernel) == 16
print([(l.name, l.output_shape) for l in model.layers])

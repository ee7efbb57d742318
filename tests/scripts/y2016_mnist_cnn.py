import numpy as np

np.random.seed(1337)

from keras import backend as K
from keras.layers import Activation, Convolution2D, Dense, Dropout, Flatten, MaxPooling2D
from keras.models import Sequential
from keras.utils import np_utils

batch_size, nb_classes, nb_epoch = 16, 10, 2
img_rows, img_cols = 12, 12
nb_filters, pool_size, kernel_size = 4, (2, 2), (3, 3)

X_train, y_train = np.random.rand(48, img_rows, img_cols), np.random.randint(0, 10, 48)
if K.image_dim_ordering() == "th":
    X_train = X_train.reshape(X_train.shape[0], 1, img_rows, img_cols)
    input_shape = (1, img_rows, img_cols)
else:
    X_train = X_train.reshape(X_train.shape[0], img_rows, img_cols, 1)
    input_shape = (img_rows, img_cols, 1)
X_train = X_train.astype("float32")
Y_train = np_utils.to_categorical(y_train, nb_classes)

model = Sequential()
model.add(Convolution2D(nb_filters, kernel_size[0], kernel_size[1], border_mode="valid", input_shape=input_shape))
model.add(Activation("relu"))
model.add(Convolution2D(nb_filters, kernel_size[0], kernel_size[1]))
model.add(Activation("relu"))
model.add(MaxPooling2D(pool_size=pool_size))
model.add(Dropout(0.25))
model.add(Flatten())
model.add(Dense(16))
model.add(Activation("relu"))
model.add(Dropout(p=0.5))
model.add(Dense(nb_classes))
model.add(Activation("softmax"))
model.compile(loss="categorical_crossentropy", optimizer="adadelta", metrics=["accuracy"])
history = model.fit(
    X_train, Y_train, batch_size=batch_size, nb_epoch=nb_epoch, verbose=0, validation_data=(X_train, Y_train)
)
assert len(history.history["acc"]) == len(history.history["val_acc"]) == 2
assert model.layers[0].output_shape == (None, 10, 10, 4)
score = model.evaluate(X_train, Y_train, verbose=0)
print("Test score:", score[0])
classes = model.predict_classes(X_train, batch_size=16)
proba = model.predict_proba(X_train, batch_size=16)
assert (proba.argmax(-1) == classes).all()

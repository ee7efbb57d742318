import os
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras.utils import to_categorical
import numpy as np
import tensorflow as tf
from tensorflow.keras import layers, models
from tensorflow.keras.callbacks import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau
from tensorflow.keras.preprocessing.image import ImageDataGenerator

print(tf.__version__)
x, y = np.random.rand(32, 8, 8, 3).astype("float32"), np.random.randint(0, 4, (32, 1))
model = models.Sequential()
model.add(layers.Conv2D(4, (3, 3), activation="relu", input_shape=(8, 8, 3)))
model.add(layers.MaxPooling2D((2, 2)))
model.add(layers.Flatten())
model.add(layers.Dense(8, activation="relu"))
model.add(layers.Dense(4))
model.compile(
    optimizer="adam", loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
)
history = model.fit(
    x,
    y,
    epochs=2,
    validation_data=(x, y),
    verbose=0,
    callbacks=[
        EarlyStopping(monitor="val_loss", patience=2, restore_best_weights=True),
        ModelCheckpoint("best.h5", save_best_only=True, monitor="val_accuracy"),
        ReduceLROnPlateau(monitor="val_loss", factor=0.2, patience=2, min_lr=0.001),
    ],
)
plot = [history.history[k] for k in ("accuracy", "val_accuracy", "loss", "val_loss")]
probability_model = tf.keras.Sequential([model, tf.keras.layers.Softmax()])
assert probability_model.predict(x).sum(-1).round(3).max() == 1
train_datagen = ImageDataGenerator(rescale=1.0 / 255, shear_range=0.2, zoom_range=0.2, horizontal_flip=True)
model.fit(
    train_datagen.flow(x, y, batch_size=8), steps_per_epoch=4, epochs=1, verbose=0, workers=4, use_multiprocessing=False
)
model.save("m.h5")
new_model = tf.keras.models.load_model("m.h5")
assert np.allclose(new_model.predict(x), model.predict(x), atol=1e-5)

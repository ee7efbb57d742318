from keras.callbacks import ModelCheckpoint, LearningRateScheduler
from keras.backend.tensorflow_backend import set_session
import numpy as np
from keras import backend as keras
from keras.callbacks import ModelCheckpoint
from keras.layers import *
from keras.models import *
from keras.optimizers import *

smooth = 1.0


def dice_coef(y_true, y_pred):
    y_true_f = keras.flatten(y_true)
    y_pred_f = keras.flatten(y_pred)
    intersection = keras.sum(y_true_f * y_pred_f)
    return (2.0 * intersection + smooth) / (keras.sum(y_true_f) + keras.sum(y_pred_f) + smooth)


def dice_coef_loss(y_true, y_pred):
    return -dice_coef(y_true, y_pred)


inputs = Input((8, 8, 1))
conv1 = Conv2D(4, 3, activation="relu", padding="same", kernel_initializer="he_normal")(inputs)
pool1 = MaxPooling2D(pool_size=(2, 2))(conv1)
conv2 = Conv2D(8, 3, activation="relu", padding="same", kernel_initializer="he_normal")(pool1)
drop2 = Dropout(0.5)(conv2)
up1 = Conv2D(4, 2, activation="relu", padding="same")(UpSampling2D(size=(2, 2))(drop2))
merge1 = concatenate([conv1, up1], axis=3)
out = Conv2D(1, 1, activation="sigmoid")(merge1)
model = Model(input=inputs, output=out)
model.compile(optimizer=Adam(lr=1e-4), loss=dice_coef_loss, metrics=[dice_coef])
X, Y = np.random.rand(8, 8, 8, 1), (np.random.rand(8, 8, 8, 1) > 0.5).astype("float32")
model_checkpoint = ModelCheckpoint("unet_membrane.hdf5", monitor="loss", verbose=0, save_best_only=True)
model.fit(X, Y, batch_size=4, epochs=2, verbose=0, callbacks=[model_checkpoint])
reloaded = load_model("unet_membrane.hdf5", custom_objects={"dice_coef_loss": dice_coef_loss, "dice_coef": dice_coef})

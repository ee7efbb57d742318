import numpy as np
from keras.layers import Activation, Dense, RepeatVector, TimeDistributed, recurrent
from keras.models import Sequential

RNN = recurrent.LSTM
X, y = np.random.rand(20, 7, 12) > 0.5, np.eye(12)[np.random.randint(0, 12, (20, 4))]
model = Sequential()
model.add(RNN(16, input_shape=(7, 12)))
model.add(RepeatVector(4))
for _ in range(1):
    model.add(RNN(16, return_sequences=True))
model.add(TimeDistributed(Dense(12)))
model.add(Activation("softmax"))
model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
model.fit(X, y, batch_size=8, nb_epoch=1, validation_data=(X, y), verbose=0)
preds = model.predict_classes(X, verbose=0)
assert preds.shape == (20, 4)
model.save_weights("weights.hdf5", overwrite=True)
model.load_weights("weights.hdf5")
json_string = model.to_json()
from keras.models import model_from_json

model_from_json(json_string)

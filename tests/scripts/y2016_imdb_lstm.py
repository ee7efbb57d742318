from __future__ import print_function
from keras.utils import np_utils, generic_utils
from keras.layers.recurrent import LSTM, SimpleRNN, GRU
import numpy as np
from keras.layers.core import Activation, Dense
from keras.layers.embeddings import Embedding
from keras.layers.recurrent import LSTM
from keras.models import Sequential
from keras.preprocessing import sequence

max_features, maxlen = 50, 10
X = [list(np.random.randint(1, max_features, np.random.randint(3, 15))) for _ in range(40)]
y = np.random.randint(0, 2, 40)
X = sequence.pad_sequences(X, maxlen=maxlen)
model = Sequential()
model.add(Embedding(max_features, 8, input_length=maxlen, dropout=0.2))
model.add(LSTM(8, dropout_W=0.2, dropout_U=0.2))
model.add(Dense(1))
model.add(Activation("sigmoid"))
model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
model.fit(X, y, batch_size=8, nb_epoch=1, validation_split=0.2, verbose=0, show_accuracy=True) if False else model.fit(
    X, y, batch_size=8, nb_epoch=1, validation_split=0.2, verbose=0
)
score, acc = model.evaluate(X, y, batch_size=8, verbose=0)

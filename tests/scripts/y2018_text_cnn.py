from keras.layers import MaxPooling1D, Concatenate
from keras.initializers import Constant
from keras.utils import multi_gpu_model
import numpy as np
from keras.layers import (
    Conv1D,
    Dense,
    Embedding,
    GlobalMaxPooling1D,
    Input,
    SpatialDropout1D,
)
from keras.layers.merge import concatenate
from keras.models import Model
from keras.preprocessing.sequence import pad_sequences
from keras.preprocessing.text import Tokenizer
from keras.utils import to_categorical

texts = ["the cat sat on the mat", "a dog barked", "the dog ate the cat", "a mat is a mat"] * 5
labels = to_categorical(np.asarray([0, 1, 1, 0] * 5))
tokenizer = Tokenizer(num_words=20)
tokenizer.fit_on_texts(texts)
data = pad_sequences(tokenizer.texts_to_sequences(texts), maxlen=12)
word_index = tokenizer.word_index
num_words = min(20, len(word_index) + 1)
embedding_matrix = np.random.rand(num_words, 6)
embedding_layer = Embedding(num_words, 6, weights=[embedding_matrix], input_length=12, trainable=False)
sequence_input = Input(shape=(12,), dtype="int32")
embedded_sequences = SpatialDropout1D(0.2)(embedding_layer(sequence_input))
convs = [GlobalMaxPooling1D()(Conv1D(4, k, activation="relu")(embedded_sequences)) for k in (2, 3)]
x = concatenate(convs, axis=-1)
preds = Dense(2, activation="softmax")(x)
model = Model(sequence_input, preds)
model.compile(loss="categorical_crossentropy", optimizer="rmsprop", metrics=["acc"])
model.fit(data, labels, batch_size=4, epochs=2, validation_data=(data, labels), verbose=0)
assert np.allclose(embedding_layer.get_weights()[0], embedding_matrix, atol=1e-6)

import numpy as np
from keras import backend as K
from keras.layers import Dense, Dropout, Embedding, Flatten, Input, merge
from keras.models import Model
from keras.regularizers import l2

user, item = Input(shape=(1,), dtype="int64", name="user"), Input(shape=(1,), dtype="int64", name="item")
u = Embedding(10, 4, input_length=1, W_regularizer=l2(1e-4))(user)
m = Embedding(20, 4, input_length=1, W_regularizer=l2(1e-4))(item)
x = merge([u, m], mode="dot", dot_axes=2)
x = Flatten()(x)
both = merge([Flatten()(u), Flatten()(m)], mode="concat")
deep = Dense(1)(Dropout(0.3)(Dense(8, activation="relu")(both)))
total = merge([x, deep], mode="sum")
scaled = merge([total, deep], mode=lambda t: t[0] * 0.5 + t[1], output_shape=lambda s: s[0])
model = Model(input=[user, item], output=scaled)
model.compile("adam", loss="mse")
a, b, r = np.random.randint(0, 10, 20), np.random.randint(0, 20, 20), np.random.rand(20)
model.fit([a, b], r, batch_size=5, nb_epoch=1, validation_data=([a, b], r), verbose=0)
get_emb = K.function([user], [u])
assert get_emb([a[:, None]])[0].shape == (20, 1, 4)

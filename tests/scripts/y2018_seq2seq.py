import numpy as np
from keras.layers import LSTM, Dense, Input
from keras.models import Model

num_encoder_tokens, num_decoder_tokens, latent_dim = 7, 9, 8
enc, dec = np.random.rand(12, 5, 7), np.random.rand(12, 6, 9)
target = np.eye(9)[np.random.randint(0, 9, (12, 6))]
encoder_inputs = Input(shape=(None, num_encoder_tokens))
encoder = LSTM(latent_dim, return_state=True)
encoder_outputs, state_h, state_c = encoder(encoder_inputs)
encoder_states = [state_h, state_c]
decoder_inputs = Input(shape=(None, num_decoder_tokens))
decoder_lstm = LSTM(latent_dim, return_sequences=True, return_state=True)
decoder_outputs, _, _ = decoder_lstm(decoder_inputs, initial_state=encoder_states)
decoder_dense = Dense(num_decoder_tokens, activation="softmax")
decoder_outputs = decoder_dense(decoder_outputs)
model = Model([encoder_inputs, decoder_inputs], decoder_outputs)
model.compile(optimizer="rmsprop", loss="categorical_crossentropy")
model.fit([enc, dec], target, batch_size=4, epochs=1, validation_split=0.2, verbose=0)
model.save("s2s.h5")
encoder_model = Model(encoder_inputs, encoder_states)
decoder_state_input_h = Input(shape=(latent_dim,))
decoder_state_input_c = Input(shape=(latent_dim,))
decoder_states_inputs = [decoder_state_input_h, decoder_state_input_c]
decoder_outputs, state_h, state_c = decoder_lstm(decoder_inputs, initial_state=decoder_states_inputs)
decoder_outputs = decoder_dense(decoder_outputs)
decoder_model = Model([decoder_inputs] + decoder_states_inputs, [decoder_outputs, state_h, state_c])
states_value = encoder_model.predict(enc[:1])
out, h, c = decoder_model.predict([np.zeros((1, 1, num_decoder_tokens))] + states_value)
assert out.shape == (1, 1, 9) and h.shape == (1, 8)

"""KerasHub: BERT, GPT-2 and ResNet from small configs: predict, fit, save, load, generate."""

import os
import tempfile

import keras
import keras_hub
import numpy as np

hub = keras_hub.models
small = {"vocabulary_size": 30, "num_layers": 2, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}
tokens = {"token_ids": np.ones((2, 6), "int32"), "padding_mask": np.ones((2, 6), "int32")}
segments = {**tokens, "segment_ids": np.zeros((2, 6), "int32")}

bert = hub.BertBackbone(**small, max_sequence_length=12)
assert bert.predict(segments, verbose=0)["sequence_output"].shape == (2, 6, 8)
gpt2 = hub.GPT2Backbone(**small, max_sequence_length=12)
assert gpt2.predict(tokens, verbose=0).shape == (2, 6, 8)
resnet = hub.ResNetBackbone(
    input_conv_filters=[64],
    input_conv_kernel_sizes=[7],
    stackwise_num_filters=[64, 16],
    stackwise_num_blocks=[1, 1],
    stackwise_num_strides=[1, 2],
    block_type="basic_block",
    image_shape=(32, 32, 3),
)
assert resnet.predict(np.ones((2, 32, 32, 3), "float32"), verbose=0).shape == (2, 4, 4, 16)

classifier = hub.BertTextClassifier(backbone=bert, num_classes=2)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
classifier.compile(loss=loss, optimizer=keras.optimizers.Adam(1e-2), metrics=["accuracy"])
history = classifier.fit(segments, np.array([1, 1]), epochs=3, verbose=0).history
assert history["loss"][-1] < history["loss"][0]
with tempfile.TemporaryDirectory() as folder:
    classifier.save(path := os.path.join(folder, "m.keras"))
    again = keras.saving.load_model(path)
    np.testing.assert_allclose(again.predict(segments, verbose=0), classifier.predict(segments, verbose=0), rtol=1e-5)

writer = hub.GPT2CausalLM(backbone=gpt2)
writer.compile(sampler="greedy")
prompt = {"token_ids": np.ones((2, 6), "int32"), "padding_mask": np.array([[1, 1, 0, 0, 0, 0]] * 2)}
written = writer.generate(prompt, stop_token_ids=None)
assert written["token_ids"].shape == (2, 6) and written["padding_mask"].all()
print(written["token_ids"].tolist())

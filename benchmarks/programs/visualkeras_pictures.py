"""visualkeras draws a network in layers, and as a graph."""

import keras
import visualkeras
from keras import layers

chain = keras.Sequential(
    [keras.Input((28, 28, 1)), layers.Conv2D(8, 3), layers.MaxPooling2D(), layers.Flatten(), layers.Dense(10)]
)
x = keras.Input((4,))
graph = keras.Model(x, layers.Add()([layers.Dense(3)(x), layers.Dense(3)(x)]))
pictures = visualkeras.layered_view(chain, legend=True), visualkeras.layered_view(graph), visualkeras.graph_view(graph)
assert all(min(picture.size) > 20 for picture in pictures)
print([picture.size for picture in pictures])

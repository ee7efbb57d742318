"""TensorFlow's SavedModels, written and read without TensorFlow.

wire, messages      protocol buffers, and the messages that are needed of TensorFlow's
checksum, table     CRC-32C; LevelDB's tables
bundle              arrays by name: the files variables.*
graph               nodes and functions
emit, primitives    a jaxpr's primitives as operations (elementwise, arrays, windows, indexing, control)
objects, write      the SavedModel around it
read                models and weights back
"""

from fkeras.saving.tensorflow.folder import is_checkpoint, is_saved_model

__all__ = ["is_checkpoint", "is_saved_model", "load_weights", "read_saved_model", "write_saved_model"]


def write_saved_model(model, path, overwrite=True, include_optimizer=True, to_load=True):
    """Writes a model as a SavedModel; see `fkeras.experimental.export_saved_model`."""
    from fkeras.saving.tensorflow import write  # here and below: what few need takes a moment to import

    write.write_saved_model(model, path, overwrite, include_optimizer, to_load)


def read_saved_model(path, custom_objects=None, compile=True):
    """Returns the model of a SavedModel; see `fkeras.experimental.load_from_saved_model`."""
    from fkeras.saving.tensorflow import read

    return read.read_saved_model(path, custom_objects, compile)


def load_weights(model, path, skip_mismatch=False, skipped=()):
    """Loads the weights of a checkpoint, given by what its files begin with, or of a SavedModel; all or nothing."""
    from fkeras.saving.tensorflow import read

    read.load_weights(model, path, skip_mismatch, skipped)

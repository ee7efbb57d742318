"""`keras.experimental`: SavedModels. They need no TensorFlow here."""

from fkeras import saving

__all__ = ["export_saved_model", "load_from_saved_model"]


def export_saved_model(model, saved_model_path, overwrite=True, include_optimizer=True):
    """Writes a model as a TensorFlow SavedModel: a folder that TensorFlow, TF Serving and TFLite take.

    Inference becomes TensorFlow's own operations (with any batch size), weights become variables, and the model's
    config and the optimizer's state lie beside them, so that `load_from_saved_model` brings the model back to train on.

    Args:
        model: A model whose input shape is known.
        saved_model_path: Folder. It is written whole or not at all.
        overwrite: False refuses to replace an existing one. What is not a SavedModel is never replaced.
        include_optimizer: False leaves out what the model was compiled with.

    Raises:
        ValueError: The computation has a part without counterpart in TensorFlow; the message names it.
        FileExistsError: The folder exists and `overwrite` is False, or it is not a SavedModel.

    Example:
        >>> export_saved_model(Sequential([Input((4,)), Dense(2)]), "exported")
        >>> load_from_saved_model("exported").count_params()
        10

    TensorFlow serves it as `tensorflow.saved_model.load("exported").signatures["serving_default"]`.
    """
    saving.save_model(model, saved_model_path, overwrite, include_optimizer, "tf")


def load_from_saved_model(saved_model_path, custom_objects=None):
    """Returns the model of a SavedModel written here, or by tf.keras 2 of layers that exist here, ready to train on.

    Args:
        saved_model_path: Folder.
        custom_objects: {name: class or function} of what is not part of this package.

    Raises:
        OSError: A file is missing. ValueError: A part cannot be read, or the folder holds only a graph of operations;
            the message says what was found.
    """
    return saving.load_model(saved_model_path, custom_objects)

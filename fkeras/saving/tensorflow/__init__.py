"""TensorFlow's SavedModels, written and read without TensorFlow."""

"""`import fkeras.as_keras`: from then on `import keras` and `tf.keras` mean fkeras, for scripts of every age.

Put it before any import of Keras. It works whether or not Keras and TensorFlow are installed; an installed TensorFlow
keeps everything but its `.keras`. `python -m fkeras run script.py` does the same for a script that is left as it is.
`fkeras.posing.stop()` ends it.
"""

from fkeras import posing

posing.start()

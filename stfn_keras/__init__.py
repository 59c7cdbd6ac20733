"""Two-stream action recognition in Keras: Spatio-Temporal Fusion Networks.

Importing this package imports nothing heavy; import the part you need, for
example `stfn_keras.models` (Keras only) or `stfn_keras.data` (no TensorFlow
until the input pipeline is built).
"""

__version__ = "0.1.0"

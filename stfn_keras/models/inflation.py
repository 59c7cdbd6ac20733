"""Weights of images for layers of clips: kernels repeated over time.

inflated([kernel, bias], layer)  # kernel (7, 7, 3, 64) -> (5, 7, 7, 3, 64)

A kernel of n steps is n times a kernel of images, divided by n: a still video then
gives what its one image gives (bootstrapping; T: Carreira and Zisserman 2017). Where
time is padded with zeros that holds for the steps whose field of view is within the
clip; the others see an image that appears or ends.
"""

import keras
import numpy as np

Arrays = dict[str, list[np.ndarray]]


def inflated(arrays: list[np.ndarray], layer: keras.layers.Layer) -> list[np.ndarray]:
    """Repeat the kernel of images over time if the layer is of clips.

    Args:
        arrays: Of the layer of images: its kernel `(height, width, in, out)` and bias;
            or anything else, which stays as it is.
        layer: The layer that takes them; its kernel's length in time is read.

    Returns:
        Arrays of the same type, a kernel `(steps, height, width, in, out)` first.
    """
    if not isinstance(layer, keras.layers.Conv3D) or arrays[0].ndim != 4:
        return arrays
    steps = layer.kernel.shape[0]
    kernel, *rest = arrays
    return [np.repeat(kernel[None] / steps, steps, axis=0).astype(kernel.dtype), *rest]


def keys_of_clips(arrays: Arrays, tower: keras.Model) -> Arrays:
    """Give arrays of a tower of images the keys of the same tower inflated.

    Args:
        arrays: By the keys of `weight_files`, such as `conv2d:3`.
        tower: Takes them; one of images is nothing to change for.
    """
    if not any(isinstance(layer, keras.layers.Conv3D) for layer in tower.layers):
        return arrays
    return {key.replace("conv2d:", "conv3d:"): x for key, x in arrays.items()}

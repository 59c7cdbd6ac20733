"""A tower of clips with few channels, of the kinds of layers that I3D is made of.

use_small_clip_tower(monkeypatch)  # --tower=i3d is then that one
"""

import keras

from stfn_keras.models import towers
from stfn_keras.models.clip_max_pooling import ClipMaxPooling
from stfn_keras.models.window_mean import WindowMean

SIZE, FEATURES = 32, 16


def small_clip_tower(clips):
    layers = keras.layers
    options = {"strides": 2, "padding": "same", "use_bias": False}
    x = layers.Conv3D(8, 3, **options, name="conv1")(clips)
    x = layers.BatchNormalization(
        scale=False, epsilon=1e-3, momentum=0.9, name="conv1_bn"
    )(x)
    x = layers.ReLU(name="conv1_relu")(x)
    x = ClipMaxPooling((1, 3, 3), (1, 2, 2), name="pool1")(x)
    branches = [
        layers.Conv3D(8, size, padding="same", name=f"branch_{size}")(x)
        for size in (1, 3)
    ]
    x = layers.ReLU(name="relu2")(layers.Concatenate(name="mixed")(branches))
    x = ClipMaxPooling((2, 2, 2), (2, 2, 2), name="pool2")(x)
    return WindowMean((2, 7, 7), dtype="float32", name="avg_pool")(x)


def use_small_clip_tower(monkeypatch):
    tower = towers.Tower(small_clip_tower, FEATURES, "tf", SIZE, time=True)
    monkeypatch.setitem(towers.TOWERS, "i3d", tower)

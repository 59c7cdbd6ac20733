"""Reading TensorFlow checkpoints, such as those that I3D was published in.

if is_checkpoint("rgb_imagenet/model.ckpt"):
    variables = read_checkpoint("rgb_imagenet/model.ckpt")  # arrays by name
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

from stfn_keras.errors import UserError


def is_checkpoint(source: str) -> bool:
    """Whether a path is that of a checkpoint: `...ckpt`, or beside an `....index`."""
    return ".ckpt" in Path(source).name or Path(f"{source}.index").is_file()


def read_checkpoint(source: str) -> dict[str, np.ndarray]:
    """Read every variable of a checkpoint, without running anything of its graph.

    Args:
        source: What its files begin with: `model.ckpt` of `model.ckpt.index` and
            `model.ckpt.data-00000-of-00001`; or its one file, of the older format.

    Raises:
        UserError: There is none, or it is not whole.
    """
    path = Path(source)
    source = source.removesuffix(".index")
    if not path.is_file() and not Path(f"{source}.index").is_file():
        raise UserError(
            "Expected a TensorFlow checkpoint, named by what its files begin with: "
            f"model.ckpt of model.ckpt.index. There is none at: {source}"
        )
    try:
        reader = tf.train.load_checkpoint(source)
        return {
            name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()
        }
    except (tf.errors.OpError, IndexError, ValueError, RuntimeError) as error:
        raise UserError(
            "Expected a TensorFlow checkpoint, readable and whole, with its .index and "
            f".data files. Received: {source} ({' '.join(str(error).split())[:200]})"
        ) from error

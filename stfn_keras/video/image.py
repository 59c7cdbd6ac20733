"""The JPEG forms of frames and flow that datasets hold.

A snippet's flow is one grayscale JPEG: a mosaic of L rows of (u | v). Each tile is
padded by repeating its edge to a multiple of 8 pixels, so that no block of the
JPEG straddles two tiles.

    data = encode_flow(codes)  # uint8 (L, height, width, 2)
    codes = decode_flow(data, height, width)
"""

import cv2
import numpy as np

from stfn_keras.errors import UserError

RGB_QUALITY = 90
FLOW_QUALITY = 95
BLOCK = 8  # side of a JPEG block, in pixels
MAX_SIDE = 65_500  # of a JPEG that libjpeg writes, in pixels

_RGB_OPTIONS = [
    cv2.IMWRITE_JPEG_QUALITY,
    RGB_QUALITY,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
]
_FLOW_OPTIONS = [cv2.IMWRITE_JPEG_QUALITY, FLOW_QUALITY]


def padded(side: int) -> int:
    """The side of a mosaic's tile: the next multiple of 8."""
    return -(-side // BLOCK) * BLOCK


def fits(height: int, width: int, pairs: int) -> bool:
    """Whether a mosaic of so many pairs, and so a frame, can be a JPEG.

    Args:
        height: Of the frames, in pixels.
        width: Likewise.
        pairs: In the mosaic, 1 or more.
    """
    return pairs * padded(height) <= MAX_SIDE and 2 * padded(width) <= MAX_SIDE


def check_pairs(size: str, pairs: int) -> None:
    """Refuse mosaics that are too high for a JPEG.

    Args:
        size: Of stored frames: `--size`.
        pairs: In a mosaic.

    Raises:
        UserError: A snippet's flow does not fit, at the exact size or, where only a
            short side is given, for square frames of it.
    """
    width, height = ([int(side) for side in size.split("x")] * 2)[:2]
    if not fits(height, width, pairs):
        most = MAX_SIDE // padded(height)
        raise UserError(
            f"--pairs times the stored height, and twice the width, must stay within "
            f"{MAX_SIDE} pixels, the largest JPEG: --pairs at most {most} at a height "
            f"of {height}. Received: --pairs={pairs} --size={size}"
        )


def encode_rgb(rgb: np.ndarray) -> bytes:
    """Encode uint8 RGB (height, width, 3) as a JPEG of quality 90, 4:2:0."""
    return _encode(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), _RGB_OPTIONS)


def encode_flow(code: np.ndarray) -> bytes:
    """Encode coded flow as a grayscale mosaic of quality 95.

    Args:
        code: uint8 (L, height, width, 2), 1-255: L consecutive flow pairs.

    Returns:
        A JPEG of L * padded(height) by 2 * padded(width) pixels.
    """
    length, height, width, _ = code.shape
    tiles = code.transpose(0, 1, 3, 2)  # (L, height, 2, width)
    rows, columns = padded(height), padded(width)
    edges = ((0, 0), (0, rows - height), (0, 0), (0, columns - width))
    tiles = np.pad(tiles, edges, mode="edge")
    return _encode(tiles.reshape(length * rows, 2 * columns), _FLOW_OPTIONS)


def decode_rgb(data: bytes) -> np.ndarray:
    """Decode a JPEG to uint8 RGB (height, width, 3).

    Raises:
        ValueError: The bytes are not an image.
    """
    return cv2.cvtColor(_decode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def decode_flow(data: bytes, height: int, width: int) -> np.ndarray:
    """Decode a mosaic to codes, uint8 (L, height, width, 2), 1-255.

    Args:
        data: What `encode_flow` made.
        height: The stored height of the flow, before padding.
        width: The stored width.

    Raises:
        ValueError: The bytes are not an image, or not a mosaic of this size.
    """
    mosaic = _decode(data, cv2.IMREAD_GRAYSCALE)
    rows, columns = padded(height), padded(width)
    if mosaic.shape[0] % rows or mosaic.shape[1] != 2 * columns:
        raise ValueError(
            f"expected a mosaic of flow tiles of {rows} x {columns} pixels in two "
            f"columns. Received an image of shape {mosaic.shape}"
        )
    tiles = mosaic.reshape(-1, rows, 2, columns)[:, :height, :, :width]
    # JPEG may round a code down to 0, which stands for no flow at all.
    return np.maximum(tiles.transpose(0, 1, 3, 2), 1)  # (L, height, width, 2)


def _encode(image: np.ndarray, options: list[int]) -> bytes:
    done, data = cv2.imencode(".jpg", image, options)
    if not done:
        raise ValueError(f"OpenCV cannot encode an image of shape {image.shape}")
    return data.tobytes()


def _decode(data: bytes, mode: int) -> np.ndarray:
    buffer = np.frombuffer(data, np.uint8)
    image = cv2.imdecode(buffer, mode) if buffer.size else None
    if image is None:
        raise ValueError(f"expected a JPEG. Received {len(data)} bytes that are none")
    return image

"""What the service does to a picture: the person in it, on white, in a square."""

import io
from typing import Any

import cv2
import numpy as np
from PIL import Image

WHITE = 255
# What belongs to the person by this mask (0 to 255) is in the square, with so much of its side around it.
PERSON = 128
MARGIN = 0.08
# What a picture may have: of a larger one, the steps below would take gigabytes of memory.
LARGEST_BYTES = 20_000_000
LARGEST_PIXELS = 25_000_000


class TooLarge(ValueError):
    """A picture has more bytes or pixels than may be."""


def portrait(picture: bytes, size: int, session: Any) -> bytes:
    """A PNG of size x size pixels. The session is rembg's.

    Raises TooLarge, and ValueError when the bytes are no picture or nobody is on it.
    """
    decoded = decode(picture)
    (mask,) = session.predict(Image.fromarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)))
    alpha = np.asarray(mask, np.float32)
    weight = alpha[:, :, None] / 255
    on_white = np.round(decoded * weight + WHITE * (1 - weight)).astype(np.uint8)
    cropped = crop_square(on_white, find_person(alpha))
    scaled = cv2.resize(cropped, (size, size), interpolation=cv2.INTER_AREA if len(cropped) > size else cv2.INTER_CUBIC)
    return cv2.imencode(".png", scaled)[1].tobytes()


def decode(picture: bytes) -> np.ndarray:
    """Height x width x 3 (blue, green, red), upright. Raises TooLarge, and ValueError when the bytes are no picture."""
    unreadable = ValueError("the upload is not a picture that can be decoded, such as a JPEG, PNG or WebP file")
    try:
        # This reads no more than the header.
        width, height = Image.open(io.BytesIO(picture)).size
    except Image.DecompressionBombError as error:
        raise TooLarge(f"the picture has more than {LARGEST_PIXELS / 1e6:g} megapixels") from error
    except Exception as error:  # a decoder raises what it likes
        raise unreadable from error
    if width * height > LARGEST_PIXELS:
        pixels = f"{width}x{height} pixels ({width * height / 1e6:.1f} megapixels)"
        raise TooLarge(f"the picture has {pixels}; at most {LARGEST_PIXELS / 1e6:g} megapixels are taken")
    decoded = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise unreadable
    return decoded


def check_bytes(size: int) -> None:
    """Whether an upload may be read at all. Raises TooLarge."""
    if size > LARGEST_BYTES:
        raise TooLarge(f"the file has {size / 1e6:.1f} MB; at most {LARGEST_BYTES / 1e6:g} MB are taken")


def find_person(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the person, in pixels. Raises ValueError where there is none."""
    rows, columns = (np.flatnonzero((mask >= PERSON).any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        raise ValueError("no_face_detected")
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def crop_square(picture: np.ndarray, person: tuple[int, int, int, int]) -> np.ndarray:
    """The square around a person; what of it lies outside the picture is white."""
    left, top, right, bottom = person
    side = round(max(right - left, bottom - top) * (1 + 2 * MARGIN))
    x, y = (left + right - side) // 2, (top + bottom - side) // 2
    square = np.full((side, side, 3), WHITE, np.uint8)
    height, width = picture.shape[:2]
    first_x, last_x, first_y, last_y = max(x, 0), min(x + side, width), max(y, 0), min(y + side, height)
    square[first_y - y : last_y - y, first_x - x : last_x - x] = picture[first_y:last_y, first_x:last_x]
    return square

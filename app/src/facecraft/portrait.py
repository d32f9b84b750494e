"""What the service does to a picture: the person in it, on white, in a square."""

from typing import Any

import cv2
import numpy as np
from PIL import Image

WHITE = 255
# What belongs to the person by this mask (0 to 255) is in the square, with so much of its side around it.
PERSON = 128
MARGIN = 0.08


def portrait(picture: bytes, size: int, session: Any) -> bytes:
    """A PNG of size x size pixels. The session is rembg's. Raises ValueError when the bytes are no picture."""
    decoded = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR) if picture else None
    if decoded is None:
        raise ValueError("the upload is not a picture that can be decoded")
    (mask,) = session.predict(Image.fromarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)))
    alpha = np.asarray(mask, np.float32)
    weight = alpha[:, :, None] / 255
    on_white = np.round(decoded * weight + WHITE * (1 - weight)).astype(np.uint8)
    cropped = crop_square(on_white, find_person(alpha))
    scaled = cv2.resize(cropped, (size, size), interpolation=cv2.INTER_AREA if len(cropped) > size else cv2.INTER_CUBIC)
    return cv2.imencode(".png", scaled)[1].tobytes()


def find_person(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the person, in pixels; of the whole picture where there is none."""
    rows, columns = (np.flatnonzero((mask >= PERSON).any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return 0, 0, mask.shape[1], mask.shape[0]
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

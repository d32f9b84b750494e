"""The one thing the service does to a picture: the largest centred portrait crop, at a given height."""

import cv2
import numpy as np

ASPECT = 7 / 9  # width / height of a passport photo


def portrait(picture: bytes, height: int) -> bytes:
    """The crop as JPEG. Raises ValueError when the bytes are no picture."""
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR) if picture else None
    if image is None:
        raise ValueError("the upload is not a picture that can be decoded")
    full_height, full_width = image.shape[:2]
    crop_width = min(full_width, round(full_height * ASPECT))
    crop_height = min(full_height, round(crop_width / ASPECT))
    left, top = (full_width - crop_width) // 2, (full_height - crop_height) // 2
    crop = image[top : top + crop_height, left : left + crop_width]
    resized = cv2.resize(crop, (round(height * ASPECT), height), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", resized)[1].tobytes()

"""portrait.py: a portrait goes in, and a portrait has to come out.

portrait.json says what is asked of the application and what is expected; another API is another portrait.json.
"""

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from failed import Failed

if TYPE_CHECKING:
    from PIL import Image

HERE = Path(__file__).parent
BOUNDARY = "facecraft-proof-d1b3f0a2"
# What an answer may have at most, in bytes.
LARGEST = 64 << 20
# Two pictures are compared on a grid of so many fields each way, on which it hardly matters how one of them was scaled.
GRID = 24
# How much the fields of two pictures that are the same may differ on average, of 255.
SAME = 1.0


@dataclass(frozen=True)
class Request:
    """What is asked, and what is expected of the answer; width and height in pixels."""

    method: str
    path: str
    field: str
    picture: Path
    status: int
    type: str
    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Answer:
    status: int
    type: str
    body: bytes


def read_request(file: Path = HERE / "portrait.json") -> Request:
    told = json.loads(file.read_text())
    expected = told.pop("expected")
    return Request(**{**told, "picture": file.parent / told["picture"]}, **expected)


def encode(request: Request) -> tuple[bytes, str]:
    """The picture as a form's file, and the content type of that."""
    name = request.picture.name
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{request.field}"; filename="{name}"\r\n'
    head += f"Content-Type: image/{request.picture.suffix[1:]}\r\n\r\n"
    body = head.encode() + request.picture.read_bytes() + f"\r\n--{BOUNDARY}--\r\n".encode()
    return body, f"multipart/form-data; boundary={BOUNDARY}"


def post(request: Request, port: int, seconds: float) -> Answer:
    """The whole answer. Raises Failed when there is none, or none in time."""
    body, kind = encode(request)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    late = threading.Event()

    def give_up() -> None:
        # The timeout of a socket begins anew with each byte; this does not.
        late.set()
        if connection.sock:
            connection.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    try:
        connection.connect()
        timer.start()
        # Whoever refuses a picture may do so before all of it has arrived.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request(request.method, request.path, body, {"Content-Type": kind, "Connection": "close"})
        response = connection.getresponse()
        answer = Answer(response.status, response.getheader("Content-Type", "no content type"), response.read(LARGEST))
    except TimeoutError:
        late.set()
    except (OSError, http.client.HTTPException) as error:
        if not late.is_set():
            raise Failed(f"{request} did not answer the portrait: {type(error).__name__}: {error}") from error
    finally:
        timer.cancel()
        connection.close()
    if late.is_set():
        raise Failed(f"{request} did not answer the portrait within {seconds:g} s")
    return answer


def check_answer(answer: Answer, request: Request) -> Iterator[str]:
    """What is wrong with the answer to the portrait."""
    said = f"the body begins: {_show(answer.body)}"
    if answer.status != request.status:
        yield f"{request} answered the portrait with {answer.status}, not with {request.status}; {said}"
    elif answer.type.partition(";")[0].strip().lower() != request.type:
        yield f"{request} answered the portrait with {answer.status} and {answer.type}, not {request.type}; {said}"
    else:
        yield from check_picture(answer.body, request, said)


def check_picture(body: bytes, request: Request, said: str) -> Iterator[str]:
    """Looks at a picture with the Pillow of the image, which every application that answers portraits has."""
    try:
        from PIL import Image
    except ImportError as error:
        unseen = f"the portrait that comes out cannot be looked at: the image has no Pillow ({error})"
        yield f"{unseen}; add it to requirements.txt"
        return
    import io

    try:
        picture = Image.open(io.BytesIO(body))
        picture.load()
        kind = Image.MIME.get(picture.format or "")
        given = Image.open(request.picture)
    except Exception as error:  # a decoder raises what it likes
        yield f"{request} answered the portrait with {request.type} that cannot be decoded: {error}; {said}"
        return
    if kind != request.type:
        yield f"{request} calls its answer {request.type}, but it is {kind}"
    if picture.size != (request.width, request.height):
        width, height = picture.size
        yield f"the portrait that comes out has {width}x{height} pixels, not {request.width}x{request.height}"
    if is_plain(picture):
        yield "the portrait that comes out is of a single colour: nobody is on it"
    elif (differs := difference(picture, given)) < SAME:
        grey = f"they differ by {differs:.1f} of 255 on average"
        yield f"the portrait that comes out is the one that went in, at most scaled: {grey}"


def flatten(picture: "Image.Image") -> "Image.Image":
    """As it looks on white."""
    from PIL import Image

    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB")


def is_plain(picture: "Image.Image") -> bool:
    return all(low == high for low, high in flatten(picture).getextrema())


def difference(first: "Image.Image", second: "Image.Image") -> float:
    """How much two pictures differ on average (0 to 255), whatever their sizes are."""
    from PIL import Image, ImageChops, ImageStat

    small = [flatten(picture).resize((GRID, GRID), Image.Resampling.HAMMING) for picture in (first, second)]
    means = ImageStat.Stat(ImageChops.difference(*small)).mean
    return sum(means) / len(means)


def _show(body: bytes) -> str:
    """The start of a body in one line that any log can hold."""
    text = body[:200].decode(errors="replace")
    return "".join(character if character.isprintable() else "\N{MIDDLE DOT}" for character in text) or "(it is empty)"

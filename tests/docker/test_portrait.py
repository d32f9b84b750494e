import contextlib
import json
import socket
import sys
import tempfile
import threading
import time
import unittest
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import portrait
from failed import Failed

try:
    from PIL import Image, ImageOps
except ImportError:
    Image = None


def serve(test: unittest.TestCase, answer: Callable[[socket.socket], None]) -> int:
    """A server that takes one connection, and the port of it."""
    server = socket.create_server(("127.0.0.1", 0))
    test.addCleanup(server.close)

    def take() -> None:
        connection, _ = server.accept()
        with connection:
            answer(connection)

    threading.Thread(target=take, daemon=True).start()
    return server.getsockname()[1]


class Posted(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        (Path(folder.name) / "face.png").write_bytes(b"pixels")
        file = Path(folder.name) / "portrait.json"
        expected = {"status": 200, "type": "image/png", "width": 9, "height": 7}
        told = {"method": "PUT", "path": "/face", "field": "upload", "picture": "face.png", "expected": expected}
        file.write_text(json.dumps(told))
        self.request = portrait.read_request(file)

    def post(self, answer: Callable[[socket.socket], None], seconds: float = 30) -> portrait.Answer:
        return portrait.post(self.request, serve(self, answer), seconds)

    def test_is_a_form_with_the_picture(self) -> None:
        received = b""

        def answer(connection: socket.socket) -> None:
            nonlocal received
            while not received.endswith(b"--\r\n"):
                received += connection.recv(65536)
            connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nmade")

        self.assertEqual(self.post(answer), portrait.Answer(201, "text/plain", b"made"))
        head, _, body = received.partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"PUT /face HTTP/1.1\r\n"))
        self.assertIn(b'name="upload"; filename="face.png"\r\nContent-Type: image/png\r\n\r\npixels\r\n--', body)
        self.assertIn(f"Content-Length: {len(body)}".encode(), head)

    def test_fails_without_an_answer_in_time(self) -> None:
        with self.assertRaisesRegex(Failed, "^PUT /face did not answer the portrait within 0.3 s$"):
            self.post(lambda _: time.sleep(2), 0.3)

    def test_fails_for_an_answer_that_comes_byte_by_byte(self) -> None:
        def drip(connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            for _ in range(40):
                with contextlib.suppress(OSError):
                    connection.sendall(b"x")
                time.sleep(0.05)

        started = time.monotonic()
        with self.assertRaisesRegex(Failed, "did not answer the portrait within 0.5 s"):
            self.post(drip, 0.5)
        self.assertLess(time.monotonic() - started, 1.8)

    def test_reads_a_refusal_that_comes_before_the_picture_has_gone_out(self) -> None:
        self.request.picture.write_bytes(bytes(20 << 20))

        def refuse(connection: socket.socket) -> None:
            connection.recv(100)
            connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge")
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass

        self.assertEqual(self.post(refuse).status, 413)

    def test_fails_for_a_connection_that_is_closed(self) -> None:
        with self.assertRaisesRegex(Failed, "PUT /face did not answer the portrait: (RemoteDisc|ConnectionReset)"):
            self.post(lambda connection: None)
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        with self.assertRaisesRegex(Failed, "did not answer the portrait: ConnectionRefusedError"):
            portrait.post(self.request, port, 30)


class Checked(unittest.TestCase):
    request = portrait.read_request()

    def check(self, body: bytes, status: int = 200, kind: str = "image/png") -> list[str]:
        return list(portrait.check_answer(portrait.Answer(status, kind, body), self.request))


class Judgement(Checked):
    def test_shows_a_refusal(self) -> None:
        (sentence,) = self.check(b'{"detail":\n"no_face_detected"}', 400, "application/json")
        self.assertIn("POST /api/v1/process/quick answered the portrait with 400, not with 200; the body", sentence)
        self.assertIn('begins: {"detail":\N{MIDDLE DOT}"no_face_detected"}', sentence)
        self.assertIn("begins: (it is empty)", self.check(b"", 500)[0])

    def test_refuses_another_type(self) -> None:
        (sentence,) = self.check(b"%PDF-1.7" + b"x" * 500, kind="application/pdf")
        self.assertIn("with 200 and application/pdf, not image/png; the body begins: %PDF-1.7x", sentence)
        self.assertLess(len(sentence), 400)

    def test_says_so_without_pillow(self) -> None:
        with patch.dict(sys.modules, {"PIL": None}):
            self.assertIn("the image has no Pillow", self.check(b"")[0])


@unittest.skipUnless(Image, "Pillow is not installed here; the tests with a real builder look at pictures")
class Pictures(Checked):
    def given(self) -> "Image.Image":
        return Image.open(self.request.picture).convert("RGB")

    def png(self, picture: "Image.Image", kind: str = "PNG") -> bytes:
        import io

        file = io.BytesIO()
        picture.save(file, kind)
        return file.getvalue()

    def test_passes_what_was_worked_on(self) -> None:
        given = self.given().resize((648, 648))
        for changed in (ImageOps.invert(given), ImageOps.mirror(given), ImageOps.grayscale(given)):
            self.assertEqual(self.check(self.png(changed), kind="Image/PNG; charset=x"), [])
        cut = given.copy()
        cut.putalpha(Image.linear_gradient("L").resize(cut.size))
        self.assertEqual(self.check(self.png(cut)), [])

    def test_refuses_the_picture_that_went_in_however_it_was_scaled(self) -> None:
        for method in Image.Resampling:
            with self.subTest(method.name):
                (sentence,) = self.check(self.png(self.given().resize((648, 648), method)))
                self.assertIn("is the one that went in, at most scaled", sentence)

    def test_refuses_one_colour_and_another_size(self) -> None:
        size, plain = self.check(self.png(Image.new("RGBA", (640, 648), "red")))
        self.assertIn("has 640x648 pixels, not 648x648", size)
        self.assertIn("is of a single colour", plain)

    def test_refuses_what_is_no_such_picture(self) -> None:
        self.assertIn("cannot be decoded", self.check(b"\x89PNG\r\n\x1a\n")[0])
        whole = self.png(ImageOps.invert(self.given().resize((648, 648))))
        self.assertIn("cannot be decoded", self.check(whole[: len(whole) // 2])[0])
        jpeg = self.png(ImageOps.invert(self.given().resize((648, 648))), "JPEG")
        self.assertIn("calls its answer image/png, but it is image/jpeg", self.check(jpeg)[0])


if __name__ == "__main__":
    unittest.main()

import bz2
import gzip
import hashlib
import json
import lzma
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import decoders
from place_model import Refused, format_of, main, place, printable

TEXT = b"a model, " * 300_000
PIN = hashlib.sha256(TEXT).hexdigest()
FILE = "/app/models/codeformer/codeformer.pth"


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "--stdout", "--quiet"], input=data, capture_output=True, check=True).stdout


COMPRESSORS = {"bz2": bz2.compress, "gz": gzip.compress, "xz": lzma.compress, "zst": zstd}


class PlaceModel(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.download = Path(folder.name, "download")
        self.layer = Path(folder.name, "layer")
        self.layer.mkdir()

    def place(self, data: bytes, url: str = "https://example.org/codeformer.pth", pin: str = PIN) -> None:
        self.download.write_bytes(data)
        place(self.download, url, pin, FILE, self.layer)

    def check_placed(self) -> None:
        placed = self.layer / FILE.lstrip("/")
        self.assertEqual(placed.read_bytes(), TEXT)
        self.assertEqual(placed.stat().st_mode & 0o777, 0o444)

    def check_format(self, suffix: str) -> None:
        if suffix == "zst" and not shutil.which("zstd"):
            self.skipTest("there is no program zstd here")
        compress = COMPRESSORS[suffix]
        url = f"https://example.org/codeformer.pth.{suffix}?version=2"
        data = compress(TEXT)
        self.place(data, url)
        self.check_placed()

        for wrong in (data[:-1], data[: len(data) // 2], data + b"and more", b"", TEXT, data + data[:20]):
            with self.assertRaisesRegex(Refused, rf"the \.{suffix} data is corrupt or cut short"):
                shutil.rmtree(self.layer)
                self.place(wrong, url)

        shutil.rmtree(self.layer)
        self.place(compress(TEXT[:1000]) + compress(TEXT[1000:]), url.upper().replace("HTTPS", "https"))
        self.check_placed()

    def test_takes_an_uncompressed_file_as_it_is(self) -> None:
        self.place(TEXT)
        self.check_placed()

    def test_decompresses_bz2(self) -> None:
        self.check_format("bz2")

    def test_decompresses_gz(self) -> None:
        self.check_format("gz")

    def test_decompresses_xz(self) -> None:
        self.check_format("xz")

    def test_decompresses_zst(self) -> None:
        self.check_format("zst")

    def test_takes_padding_of_xz_in_multiples_of_four_bytes_only(self) -> None:
        data = lzma.compress(TEXT[:1000]) + bytes(8) + lzma.compress(TEXT[1000:])
        self.place(data + bytes(4), "https://example.org/a.xz")
        self.check_placed()
        shutil.rmtree(self.layer)
        with self.assertRaisesRegex(Refused, r"\(3 bytes of padding\)"):
            self.place(data + bytes(3), "https://example.org/a.xz")

    def test_takes_padding_of_gz_of_any_length(self) -> None:
        self.place(gzip.compress(TEXT[:1000]) + bytes(7) + gzip.compress(TEXT[1000:]) + bytes(3), "https://x.org/a.gz")
        self.check_placed()

    def test_decodes_in_blocks_of_limited_size_whatever_comes_out(self) -> None:
        for suffix, compress in COMPRESSORS.items():
            if suffix == "zst" and not shutil.which("zstd"):
                continue
            self.download.write_bytes(compress(bytes(decoders.BLOCK * 20)))
            with self.subTest(suffix), self.download.open("rb") as source:
                sizes = [len(block) for block in decoders.decode(suffix, source)]
                self.assertEqual(sum(sizes), decoders.BLOCK * 20)
                self.assertLessEqual(max(sizes), decoders.BLOCK)

    def test_says_what_is_wrong_with_a_pin(self) -> None:
        for pin in ("", "abc", PIN.upper(), PIN[:-1], PIN + "0"):
            with self.subTest(pin), self.assertRaisesRegex(Refused, f"{FILE} has no usable pin: '{pin}' is not 64"):
                self.place(TEXT, pin=pin)
            self.assertEqual(list(self.layer.iterdir()), [])

    def test_names_both_hashes_the_size_and_where_another_file_came_from(self) -> None:
        other = hashlib.sha256(b"other").hexdigest()
        with self.assertRaises(Refused) as refused:
            self.place(b"other")
        for part in (
            f"expected  sha256:{PIN}",
            f"actual    sha256:{other} (5 bytes)",
            "https://example.org/codef",
            FILE,
        ):
            self.assertIn(part, str(refused.exception))

    def test_never_shows_what_may_be_a_credential_in_a_url(self) -> None:
        with self.assertRaises(Refused) as refused:
            self.place(b"other", "https://user:hunter2@example.org:8080/a.pth?token=hunter3#x")
        self.assertIn("from      https://example.org:8080/a.pth", str(refused.exception))
        self.assertNotIn("hunter", str(refused.exception))
        self.assertEqual(printable("http://127.0.0.1:1/a;v=1"), "http://127.0.0.1:1/a;v=1")

    def test_leaves_the_pin_beside_the_model_for_sha256sum(self) -> None:
        self.place(TEXT)
        manifest = self.layer / "usr/share/facecraft/models/codeformer.pth.sha256"
        self.assertEqual(manifest.read_text(), f"{PIN}  {FILE}\n")

    def test_describes_the_model_outside_the_layer(self) -> None:
        self.download.write_bytes(gzip.compress(TEXT))
        url = "https://user:hunter2@example.org/codeformer.pth.gz?token=hunter3#x"
        placed = self.layer.parent / "placed"
        main(str(self.download), url, PIN, FILE, str(self.layer), str(placed))
        self.check_placed()
        self.assertEqual(
            json.loads((placed / "codeformer.pth.json").read_text()),
            {"file": FILE, "sha256": PIN, "sizeBytes": len(TEXT), "url": "https://example.org/codeformer.pth.gz"},
        )
        texts = [file.read_bytes() for file in self.layer.rglob("*.sha256")]
        self.assertNotIn(b"example.org", b"".join(texts))

    def test_reads_the_format_from_the_path_of_a_url_alone(self) -> None:
        for url, suffix in {
            "https://example.org/a.dat.bz2": "bz2",
            "https://example.org/a.GZ?x=y.xz#z.zst": "gz",
            "https://example.org/a.bz2;v=1": None,
            "https://example.org/a.zip": None,
            "https://example.org/bz2": None,
            "https://example.bz2": None,
        }.items():
            with self.subTest(url):
                self.assertEqual(format_of(url), suffix)


if __name__ == "__main__":
    unittest.main()

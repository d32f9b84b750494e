#!/usr/bin/env python3.11
"""place_model.py DOWNLOAD URL SHA256 FILE LAYER PLACED

Decompresses a download by its URL's suffix, compares it with the pin, and places it as FILE of the layer in the folder
LAYER. It takes and refuses the archives that the program takes and refuses when it verifies a model before the build.
The folder PLACED gets a description with the URL, which is no part of the layer: that is the same from every mirror.
"""

import hashlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from decoders import BLOCK, DECODERS, Corrupt, decode


class Refused(Exception):
    """Why a download does not become a model, for the person who builds."""


def format_of(url: str) -> str | None:
    """The compression that the URL's suffix announces, or None."""
    suffix = urlsplit(url).path.rpartition(".")[2].lower()
    return suffix if suffix in DECODERS and "." in urlsplit(url).path else None


def printable(url: str) -> str:
    """The URL without what may be a credential: user, password and query."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def read(download: Path, url: str) -> Iterator[bytes]:
    """The blocks of the file that the download holds."""
    suffix = format_of(url)
    with download.open("rb") as source:
        if suffix is not None:
            yield from decode(suffix, source)
        else:
            while block := source.read(BLOCK):
                yield block


def place(download: Path, url: str, pin: str, file: str, layer: Path) -> dict:
    """The description of the model. Raises Refused, and what the layer then holds is not to be used."""
    if not re.fullmatch("[0-9a-f]{64}", pin):
        unusable = f"{file} has no usable pin: {pin!r} is not 64 lowercase hex digits."
        raise Refused(f"{unusable} Nothing was accepted from {printable(url)}")

    target = layer / file.lstrip("/")
    target.parent.mkdir(parents=True)
    digest, size = hashlib.sha256(), 0
    try:
        with target.open("wb") as out:
            for block in read(download, url):
                digest.update(block)
                size += out.write(block)
    except Corrupt as error:
        served = download.stat().st_size
        raise Refused(f"{file} cannot be decompressed: {error}\n  from  {printable(url)} ({served} bytes)") from error
    if digest.hexdigest() != pin:
        raise Refused(
            f"{file} is not the file that its pin names.\n"
            f"  expected  sha256:{pin}\n"
            f"  actual    sha256:{digest.hexdigest()} ({size} bytes)\n"
            f"  from      {printable(url)}"
        )

    # The pin travels with the file: "sha256sum -c /usr/share/facecraft/models/*" judges a running container.
    manifest = layer / "usr/share/facecraft/models" / f"{target.name}.sha256"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(f"{pin}  {file}\n")
    for path in (target, manifest):
        path.chmod(0o444)
    return {"file": file, "sha256": pin, "sizeBytes": size, "url": printable(url)}


def main(download: str, url: str, pin: str, file: str, layer: str, placed: str) -> None:
    description = place(Path(download), url, pin, file, Path(layer))
    Path(placed).mkdir(parents=True, exist_ok=True)
    Path(placed, f"{Path(file).name}.json").write_text(json.dumps(description) + "\n")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Refused as refusal:
        sys.exit(str(refusal))

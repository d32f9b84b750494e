"""Decoders of compressed files, block by block, for every suffix that a model's URL may end in."""

import bz2
import ctypes
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

BLOCK = 1 << 20


class Corrupt(Exception):
    """The bytes are not one whole compressed file and nothing else."""


class Decoder(Protocol):
    """Decodes one member of a compressed file, as the decoders of bz2 and lzma do."""

    eof: bool
    needs_input: bool
    unused_data: bytes

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class Gunzip:
    """zlib's decoder of one gzip member."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=zlib.MAX_WBITS + 16)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        block = self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)
        self.eof = self._zlib.eof
        self.unused_data = self._zlib.unused_data
        # A full block may have more behind it, even where all of the input was taken.
        self.needs_input = len(block) < max_length
        return block


class _Buffer(ctypes.Structure):
    _fields_ = [("start", ctypes.c_void_p), ("size", ctypes.c_size_t), ("position", ctypes.c_size_t)]


class Unzstd:
    """libzstd's decoder of one frame. Python has one from 3.14 on; the library is in every Debian: dpkg needs it."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libzstd.so.1")
        self._library.ZSTD_createDStream.restype = ctypes.c_void_p
        self._library.ZSTD_decompressStream.restype = ctypes.c_size_t
        self._library.ZSTD_getErrorName.restype = ctypes.c_char_p
        self._stream = ctypes.c_void_p(self._library.ZSTD_createDStream())
        self._rest = b""

    def __del__(self) -> None:
        self._library.ZSTD_freeDStream(self._stream)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        data = self._rest + data
        block = ctypes.create_string_buffer(max_length)
        source = _Buffer(ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p), len(data), 0)
        target = _Buffer(ctypes.cast(block, ctypes.c_void_p), max_length, 0)
        left, before = 1, None
        while left and target.position < max_length and before != (source.position, target.position):
            before = (source.position, target.position)
            left = self._library.ZSTD_decompressStream(self._stream, ctypes.byref(target), ctypes.byref(source))
            if self._library.ZSTD_isError(ctypes.c_size_t(left)):
                raise ValueError(self._library.ZSTD_getErrorName(ctypes.c_size_t(left)).decode())
        self.eof = left == 0
        rest = data[source.position :]
        self.unused_data, self._rest = (rest, b"") if self.eof else (b"", rest)
        self.needs_input = not rest and target.position < max_length
        return block.raw[: target.position]


UNSUPPORTED = "it has a filter or a check that is not supported; `xz --check=crc64` without filters is"


class Unxz:
    """liblzma's decoder of one stream, which takes no more than the program's own decoder does."""

    # The next larger dictionary than 64 MiB has 96; liblzma's own needs are small beside it.
    MEMORY = 80 << 20

    def __init__(self) -> None:
        self._lzma = lzma.LZMADecompressor(lzma.FORMAT_XZ, self.MEMORY)
        self._start = b""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        self._start = (self._start + data[:14])[:14]
        try:
            block = self._lzma.decompress(data, max_length)
        except lzma.LZMAError as error:
            if "Memory usage limit" in str(error):
                raise ValueError("its dictionary is larger than 64 MiB, which is not supported") from error
            raise
        # After a header of 12 bytes, the first block says how long its own is (0: there is no block) and its filters.
        has_filters = len(self._start) == 14 and self._start[12] != 0 and self._start[13] & 3 != 0
        if has_filters or self._lzma.check == lzma.CHECK_SHA256:
            raise ValueError(UNSUPPORTED)
        self.eof, self.needs_input, self.unused_data = self._lzma.eof, self._lzma.needs_input, self._lzma.unused_data
        return block


DECODERS: dict[str, Callable[[], Decoder]] = {
    "bz2": bz2.BZ2Decompressor,
    "gz": Gunzip,
    "xz": Unxz,
    "zst": Unzstd,
}


def decode(suffix: str, source: BinaryIO) -> Iterator[bytes]:
    """The decoded blocks. One member may follow another, and nothing else; Python's own files pass over what follows.

    Raises Corrupt with what is wrong.
    """
    decoder, data = DECODERS[suffix](), source.read(BLOCK)
    while True:
        try:
            block = decoder.decompress(data, BLOCK)
        except (OSError, ValueError, EOFError, lzma.LZMAError, zlib.error) as error:
            raise Corrupt(f"the .{suffix} data is corrupt or cut short ({error})") from error
        yield block
        data = b""
        if decoder.eof:
            data = _without_padding(suffix, decoder.unused_data, source)
            if not data:
                return
            decoder = DECODERS[suffix]()
        elif decoder.needs_input:
            data = source.read(BLOCK)
            if not data:
                raise Corrupt(f"the .{suffix} data is corrupt or cut short (it ends too early)")


# Zero bytes that may follow a member, in multiples of this: by the definition of the format, and for tapes.
PADDING = {"xz": 4, "gz": 1}


def _without_padding(suffix: str, data: bytes, source: BinaryIO) -> bytes:
    """What follows the padding of a member, the start of another one; empty at the end of the file."""
    data = data or source.read(BLOCK)
    zeros = 0
    while suffix in PADDING and data.startswith(b"\0"):
        rest = data.lstrip(b"\0")
        zeros += len(data) - len(rest)
        data = rest or source.read(BLOCK)
    if zeros % PADDING.get(suffix, 1):
        raise Corrupt(f"the .{suffix} data is corrupt or cut short ({zeros} bytes of padding)")
    return data

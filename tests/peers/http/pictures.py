"""The page that browsers show in this lab, and a reader of the pictures that clients take of it."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from tests.peers.extras.stage import check

WIDTH, HEIGHT = 800, 600
GROUND, INK, BLOCK = (18, 52, 86), (255, 204, 0), (0, 170, 85)
TITLE = "A page behind the gateway"
INK_PIXELS = 5000
CHANNELS = {2: 3, 6: 4}
PAGE = f"""\
<!doctype html><meta charset="utf-8"><title>{TITLE}</title>
<style>
  body {{ margin: 0; overflow: hidden; background: rgb{GROUND}; color: rgb{INK}; font: bold 200px sans-serif; }}
  div {{ position: fixed; right: 0; bottom: 0; width: 100px; height: 100px; background: rgb{BLOCK}; }}
</style>
<body>ALG<div></div>
"""

Pixel = tuple[int, ...]


def check_picture(file: Path) -> str:
    """Fail the row unless the file is a picture of the page; say what was seen."""
    check(file.is_file(), f"there is no picture {file.name}")
    rows = read_png(file.read_bytes())
    size = (len(rows[0]), len(rows))
    check(size == (WIDTH, HEIGHT), f"the picture is {size[0]}x{size[1]}, not {WIDTH}x{HEIGHT}")
    check(rows[HEIGHT - 5][5] == GROUND, f"the ground is {rows[HEIGHT - 5][5]}, not {GROUND}")
    check(rows[HEIGHT - 5][WIDTH - 5] == BLOCK, f"the block is {rows[HEIGHT - 5][WIDTH - 5]}, not {BLOCK}")
    ink = sum(row.count(INK) for row in rows)
    check(ink > INK_PIXELS, f"{ink} pixels have the text's colour, not {INK_PIXELS}")
    return f"PNG {size[0]}x{size[1]}, {ink} pixels of text"


def read_png(data: bytes) -> list[list[Pixel]]:
    """Rows of red, green and blue; 8 bits for each, not interlaced, as browsers write them."""
    check(data.startswith(b"\x89PNG\r\n\x1a\n"), "the picture is no PNG")
    place, packed = 8, b""
    width = height = size = 0
    while place < len(data):
        length, kind = struct.unpack_from("!I4s", data, place)
        chunk = data[place + 8 : place + 8 + length]
        place += 12 + length
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlaced = struct.unpack("!IIBBBBB", chunk)
            check(depth == 8 and not interlaced and colour in CHANNELS, "the picture is of an unknown kind")
            size = CHANNELS[colour]
        elif kind == b"IDAT":
            packed += chunk
    raw = zlib.decompress(packed)
    rows: list[list[Pixel]] = []
    line = bytes(width * size)
    for number in range(height):
        start = number * (width * size + 1)
        line = unfiltered(raw[start], raw[start + 1 : start + 1 + width * size], line, size)
        rows.append([tuple(line[x : x + 3]) for x in range(0, width * size, size)])
    return rows


def unfiltered(kind: int, line: bytes, above: bytes, size: int) -> bytes:
    """Undo one of the five filters of a PNG's lines."""
    result = bytearray(line)
    for x in range(len(line)):
        left = result[x - size] if x >= size else 0
        corner = above[x - size] if x >= size else 0
        guess = (0, left, above[x], (left + above[x]) // 2, paeth(left, above[x], corner))[kind]
        result[x] = (line[x] + guess) & 255
    return bytes(result)


def paeth(left: int, above: int, corner: int) -> int:
    """The one of three neighbours that is nearest to left + above - corner."""
    guess = left + above - corner
    return min((left, above, corner), key=lambda value: abs(guess - value))

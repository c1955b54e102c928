"""Files with a few changes, as broken discs, cut connections and people with bad intent make them."""

import random
import struct

_OPEN_ITEM = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
#: What means something in DICOM.
_TELLING = (b"\xff\xff\xff\xff", b"\xfe\xff\xff\x7f", _OPEN_ITEM, b"SQ\0\0", b"UN\0\0", b"\0" * 8)


def damaged(whole: bytes, chance: random.Random) -> bytes:
    """Return a file with a few changes: bits, lengths that lie, parts left out, doubled, moved, cut."""
    content = bytearray(whole)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at, size = chance.randrange(len(content) + 1), chance.choice((1, 2, 4, 8, 64, 512))
        part = content[at : at + size]
        change = chance.randrange(7)
        if change == 0 and at < len(content):
            content[at] ^= 1 << chance.randrange(8)
        elif change == 1:
            content[at : at + size] = chance.randbytes(size)
        elif change == 2:
            del content[at : at + size]
        elif change == 3:
            content[at:at] = part * chance.choice((1, 10, 1000))
        elif change == 4:
            content[at : at + 4] = struct.pack("<L", chance.choice((0, 1, len(whole), 2**31 - 1, 2**32 - 2)))
        elif change == 5:
            content[at:at] = chance.choice(_TELLING) * chance.choice((1, 1, 50, 2000))
        elif chance.random() < 0.3:
            del content[at:]
    return bytes(content)

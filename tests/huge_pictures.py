"""Small picture files whose headers state a huge size; a writer for each format that Pillow reads."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

from png_files import chunk


def saved(name: str, mode: str = "RGB", **options: object) -> bytes:
    """A valid file of 16×16 pixels."""
    buffer = io.BytesIO()
    Image.new(mode, (16, 16), 200 if mode in ("L", "P") else 0).save(buffer, name, **options)
    return buffer.getvalue()


def patched(content: bytes, *patches: tuple[int, str, tuple[int, ...]]) -> bytes:
    """The content with numbers written at positions; each patch is (position, struct format, numbers)."""
    changed = bytearray(content)
    for position, form, numbers in patches:
        struct.pack_into(form, changed, position, *numbers)
    return bytes(changed)


def jpeg(side: int, **options: object) -> bytes:
    content = saved("JPEG", **options)
    start = max(content.find(b"\xff\xc0"), content.find(b"\xff\xc2"))
    return patched(content, (start + 5, ">HH", (min(side, 65500), min(side, 65500))))


def jpeg2000(side: int, no_jp2: bool = False, ihdr: int | None = None, **options: object) -> bytes:
    """A JPEG 2000 file; `ihdr` is the side that its first header states, if it differs from that of the codestream."""
    content = saved("JPEG2000", no_jp2=no_jp2, **options)
    siz = content.index(b"\xff\x4f\xff\x51") + 8
    content = patched(content, (siz, ">II", (side, side)), (siz + 16, ">II", (side, side)))
    if not no_jp2:
        content = patched(content, (content.index(b"ihdr") + 4, ">II", (ihdr or side,) * 2))
    return content


def png(side: int, depth: int = 8, colour: int = 2, interlaced: int = 0) -> bytes:
    header = struct.pack(">IIBBBBB", side, side, depth, colour, 0, 0, interlaced)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(bytes(10_000))), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in chunks)


def ico(side: int, content: bytes | None = None, kind: int = 1) -> bytes:
    content = content or png(side)
    return struct.pack("<HHHBBBBHHII", 0, kind, 1, 16, 16, 0, 0, 1, 32, len(content), 22) + content


def dib(side: int, bits: int = 24, compression: int = 0) -> bytes:
    return struct.pack("<IiiHHIIiiII", 40, side, 2 * side, 1, bits, compression, 0, 0, 0, 0, 0) + bytes(200)


def bmp(side: int, bits: int = 24, compression: int = 0) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, side, side, 1, bits, compression, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 2000, 0, 0, 1100) + header + bytes(2000)


def icns(side: int, content: bytes | None = None) -> bytes:
    content = content or png(side)
    block = b"ic09" + struct.pack(">I", len(content) + 8) + content
    return b"icns" + struct.pack(">I", len(block) + 8) + block


def gif(side: int, screen: int | None = None) -> bytes:
    """A GIF; `screen` is the side of the whole picture if it differs from that of the first frame."""
    content = saved("GIF", "L")
    palette_bytes = 3 << (content[10] % 8 + 1) if content[10] & 128 else 0
    frame = content.index(b"\x2c", 13 + palette_bytes)
    side = min(side, 65535)
    return patched(content, (6, "<HH", (screen or side,) * 2), (frame + 5, "<HH", (side, side)))


def webp(side: int, **options: object) -> bytes:
    """A WebP file, whose sides have at most 16,383 pixels."""
    side, content = min(side, 16383), saved("WEBP", **options)
    if content[12:16] == b"VP8L":
        return patched(content, (21, "<I", (side - 1 | side - 1 << 14,)))
    return patched(content, (26, "<HH", (side, side)))


def animated_webp(side: int) -> bytes:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    buffer = io.BytesIO()
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:])
    content = buffer.getvalue()
    return patched(content, (24, "<HBHB", ((side - 1) % 65536, (side - 1) >> 16) * 2))


def avif(side: int) -> bytes:
    content = saved("AVIF")
    return patched(content, (content.index(b"ispe") + 8, ">II", (side, side)))


def tiff(side: int, compression: str | None = None, mode: str = "RGB", **tags: int) -> bytes:
    """A TIFF; `tags` are further values to change, such as tag_322=16, which are added if they are not there."""
    content = saved("TIFF", mode, compression=compression)
    changes = {256: side, 257: side, 278: side} | {int(tag[4:]): value for tag, value in tags.items()}
    start = struct.unpack_from("<I", content, 4)[0]
    count = struct.unpack_from("<H", content, start)[0]
    entries = dict(struct.unpack_from("<H10s", content, start + 2 + 12 * i) for i in range(count))
    entries |= {tag: struct.pack("<HII", 4, 1, value) for tag, value in changes.items()}
    end = len(content) + len(content) % 2
    directory = b"".join(struct.pack("<H", tag) + entry for tag, entry in sorted(entries.items()))
    content = content.ljust(end, b"\0") + struct.pack("<H", len(entries)) + directory + bytes(4)
    return patched(content, (4, "<I", (end,)))


def jpeg_tiff(side: int, **tags: int) -> bytes:
    """A TIFF of 16×16 pixels with a JPEG that states a larger size."""
    content = tiff(16, "jpeg", **tags)
    return patched(content, (content.index(b"\xff\xc0") + 5, ">HH", (min(side, 65500),) * 2))


def psd(side: int, compression: int) -> bytes:
    header = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, side, side, 8, 3) + struct.pack(">IIIH", 0, 0, 0, compression)
    return header + bytes(500)


def dds(side: int, fourcc: bytes = b"DXT1", flags: int = 4) -> bytes:
    header = struct.pack("<7I44x", 124, 0x1007, side, side, 0, 0, 0)
    header += struct.pack("<II4sIIIII", 32, flags, fourcc, 32, 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    return b"DDS " + header + struct.pack("<4I4x", 0x1000, 0, 0, 0) + struct.pack("<5I", 71, 3, 0, 1, 0) + bytes(200)


def blp(side: int) -> bytes:
    return (
        b"BLP2" + struct.pack("<iBBBBII", 1, 2, 1, 0, 0, side, side) + struct.pack("<32I", *[1180] * 32) + bytes(2000)
    )


def blp_with_jpeg(side: int, stated: int | None = None) -> bytes:
    """A BLP1 file; `stated` is the side that its own header states, if it differs from that of the JPEG in it."""
    content = struct.pack("<iIIIii", 0, 0, stated or side, stated or side, 5, 0)
    picture = jpeg(side)
    header = b"BLP1" + content + struct.pack("<16I", 160, *[0] * 15) + struct.pack("<16I", len(picture), *[0] * 15)
    return (header + struct.pack("<I", 0)).ljust(160, b"\0") + picture


def fits(side: int) -> bytes:
    values = {"SIMPLE": "T", "BITPIX": 8, "NAXIS": 2, "NAXIS1": side, "NAXIS2": side}
    return ("".join(f"{key:8}= {value:>20}".ljust(80) for key, value in values.items()) + "END".ljust(80)).ljust(
        2880
    ).encode() + bytes(2880)


def fits_gzip(side: int) -> bytes:
    values = {"SIMPLE": "T", "BITPIX": 8, "NAXIS": 0}
    table = {"XTENSION": "'BINTABLE'", "BITPIX": 8, "NAXIS": 2, "NAXIS1": 8, "NAXIS2": 1, "ZIMAGE": "T"}
    table |= {"ZCMPTYPE": "'GZIP_1  '", "ZBITPIX": 8, "ZNAXIS": 2, "ZNAXIS1": side, "ZNAXIS2": side}
    blocks = [
        ("".join(f"{key:8}= {value:>20}".ljust(80) for key, value in part.items()) + "END".ljust(80)).ljust(2880)
        for part in (values, table)
    ]
    packed = zlib.compressobj(9, zlib.DEFLATED, 31)
    return "".join(blocks).encode() + bytes(8) + packed.compress(bytes(100_000)) + packed.flush()


def fli(side: int) -> bytes:
    side = min(side, 65535)
    header = struct.pack("<IHHHHHHI", 200, 0xAF12, 1, side, side, 8, 0, 0).ljust(128, b"\0")
    return header + struct.pack("<IHH8x", 72, 0xF1FA, 1) + struct.pack("<IH", 56, 15) + bytes(200)


def ftex(side: int, kind: int = 0) -> bytes:
    return (
        b"FTEX" + struct.pack("<iiiiiiii", 0, side, side, 1, 1, kind, 36, 1000) + struct.pack("<i", 1000) + bytes(1000)
    )


def gbr(side: int) -> bytes:
    return struct.pack(">IIIII4sI", 30, 2, side, side, 4, b"GIMP", 10) + bytes(100)


def im(side: int) -> bytes:
    text = f"Image type: RGB image\r\nName: a\r\nImage size (x*y): {side}*{side}\r\nFile size (no of images): 1\r\n"
    return text.encode().ljust(511, b"\0") + b"\x1a" + bytes(1000)


def iptc(side: int) -> bytes:
    fields = ((3, 60, b"\3\0"), (3, 20, struct.pack(">I", side)), (3, 30, struct.pack(">I", side)), (3, 120, b"\1"))
    content = b"".join(struct.pack(">BBBH", 0x1C, *key, len(data)) + data for *key, data in fields)
    return content + struct.pack(">BBBH", 0x1C, 8, 10, 100) + bytes(100)


def mcidas(side: int) -> bytes:
    words = [0] * 64
    words[1], words[8], words[9], words[10], words[13], words[33] = 4, side, side, 1, 1, 256
    return struct.pack(">64i", *words) + bytes(1000)


def msp(side: int) -> bytes:
    words = [*struct.unpack("<2H", b"DanM"), min(side, 65535), min(side, 65535), *[0] * 12]
    words[12] = int(np.bitwise_xor.reduce(words))
    return struct.pack("<16H", *words) + bytes(1000)


def pcx(side: int) -> bytes:
    return patched(saved("PCX"), (8, "<HH", (min(side, 65535) - 1,) * 2))


def dcx(side: int) -> bytes:
    return struct.pack("<III", 0x3ADE68B1, 12, 0) + pcx(side)


def pixar(side: int) -> bytes:
    content = bytearray(b"\x80\xe8\0\0".ljust(1024, b"\0") + bytes(1000))
    return patched(bytes(content), (416, "<HH", (min(side, 65535),) * 2), (424, "<HH", (14, 2)))


def sgi(side: int, compression: int = 1) -> bytes:
    return patched(saved("SGI"), (2, "B", (compression,)), (6, ">HH", (min(side, 65535),) * 2))


def spider(side: int) -> bytes:
    return patched(saved("SPIDER", "F"), (4, "<f", (side,)), (44, "<f", (side,)))


def sun(side: int, kind: int = 1) -> bytes:
    return struct.pack(">8I", 0x59A66A95, side, side, 24, 0, kind, 0, 0) + bytes(1000)


def xpm(side: int) -> bytes:
    return f'/* XPM */\nstatic char *a[] = {{\n"{side} {side} 1 1",\n"a c #112233",\n"aaaa"\n}};\n'.encode()


def tga(side: int, rle: bool = False) -> bytes:
    content = saved("TGA", compression="tga_rle" if rle else None)
    return patched(content, (12, "<HH", (min(side, 65535),) * 2))


Writer = Callable[[int], bytes]
WRITERS: dict[str, Writer] = {
    "AVIF": avif,
    "BLP": blp,
    "BLP, JPEG": blp_with_jpeg,
    "BMP": bmp,
    "BMP, run lengths": lambda side: bmp(side, 8, 1),
    "CUR": lambda side: ico(side, dib(side), 2),
    "DCX": dcx,
    "DDS": dds,
    "DDS, BC7": lambda side: dds(side, b"DX10"),
    "DDS, RGB": lambda side: dds(side, flags=0x40),
    "DIB": dib,
    "FITS": fits,
    "FITS, gzip": fits_gzip,
    "FLI": fli,
    "FTEX": ftex,
    "FTEX, RGB": lambda side: ftex(side, 1),
    "GBR": gbr,
    "GIF": gif,
    "GIF, frame beyond its screen": lambda side: gif(side, 16),
    "GIF, screen beyond its frame": lambda side: gif(16, min(side, 65535)),
    "ICNS": icns,
    "ICNS, JPEG 2000": lambda side: icns(side, jpeg2000(side)),
    "ICO": ico,
    "ICO, DIB": lambda side: ico(side, dib(side)),
    "ICO, DIB of 32 bits": lambda side: ico(side, dib(side, 32)),
    "IM": im,
    "IMT": lambda side: f"width {side}\nheight {side}\npixel n8\n\x0c".encode() + bytes(1000),
    "JPEG": jpeg,
    "JPEG, progressive": lambda side: jpeg(side, progressive=True),
    "JPEG2000": jpeg2000,
    "JPEG2000, codestream": lambda side: jpeg2000(side, no_jp2=True),
    "MCIDAS": mcidas,
    "MSP": msp,
    "PCX": pcx,
    "PFM": lambda side: f"Pf\n{side} {side}\n-1.0\n".encode() + bytes(1000),
    "PIXAR": pixar,
    "PNG": png,
    "PNG, interlaced": lambda side: png(side, interlaced=1),
    "PNG, 16 bits": lambda side: png(side, 16),
    "PPM": lambda side: f"P6\n{side} {side}\n255\n".encode() + bytes(1000),
    "PPM, text": lambda side: f"P3\n{side} {side}\n255\n".encode() + b"1 " * 1000,
    "PSD": lambda side: psd(side, 0),
    "QOI": lambda side: b"qoif" + struct.pack(">IIBB", side, side, 4, 0) + bytes(1000),
    "SGI": sgi,
    "SGI, uncompressed": lambda side: sgi(side, 0),
    "SPIDER": spider,
    "SUN": sun,
    "SUN, run lengths": lambda side: sun(side, 2),
    "TGA": tga,
    "TGA, run lengths": lambda side: tga(side, rle=True),
    "TIFF": tiff,
    "TIFF, LZW": lambda side: tiff(side, "tiff_lzw"),
    "TIFF, Deflate": lambda side: tiff(side, "tiff_adobe_deflate"),
    "TIFF, JPEG": lambda side: tiff(side, "jpeg"),
    "TIFF, fax": lambda side: tiff(side, "group4", "1"),
    "WEBP": webp,
    "WEBP, lossless": lambda side: webp(side, lossless=True),
    "WEBP, animated": animated_webp,
    "XBM": lambda side: f"#define a_width {side}\n#define a_height {side}\nstatic char a_bits[] = {{\n0x00".encode(),
    "XPM": xpm,
    "XVTHUMB": lambda side: f"P7 332\n#\n{side} {side} 255\n".encode() + bytes(1000),
}
# Files whose headers state 16×16 pixels, and of which a part decoded at once is huge; and some that are refused.
PARTS: dict[str, Writer] = {
    "IPTC": iptc,
    "PSD, run lengths": lambda side: psd(side, 1),
    "BLP, large JPEG": lambda side: blp_with_jpeg(side, 16),
    "JPEG2000, small first header": lambda side: jpeg2000(side, ihdr=16),
    "TIFF, tiles": lambda side: tiff(16, "tiff_lzw", tag_322=side, tag_323=side, tag_324=8, tag_325=100),
    "TIFF, tiles of JPEG": lambda side: jpeg_tiff(side, tag_322=side, tag_323=side, tag_324=8, tag_325=300),
    "TIFF, uncompressed tiles": lambda side: tiff(16, tag_322=side, tag_323=side, tag_324=8, tag_325=700),
    "TIFF, strips of JPEG": lambda side: jpeg_tiff(side),
}

"""The flags of restored pictures: which pictures, in what format, size and place."""

from srmd.cli.flag import ON, Flag
from srmd.cli.values import final_size, name_suffix, number, whole, words
from srmd.pictures.formats import DEFAULT_QUALITY

MAX_OUTSCALE = 16  # times the sides of LR
RESTORING_FLAGS = (
    Flag(
        "format",
        ("test",),
        "file format of the results; keep: that of the LR picture if it holds every colour, else png",
        words("png", "jpg", "webp", "tiff", "avif", "keep"),
    ),
    Flag(
        "quality",
        ("test",),
        "quality of jpg, webp and avif, 1 to 100",
        {"type": whole(1, 100), "metavar": "N"},
    ),
    Flag(
        "suffix",
        ("test",),
        "text that is appended to the name: with _x2 the result of photo.jpg is photo_x2.png",
        {"type": name_suffix, "metavar": "TEXT"},
    ),
    Flag(
        "overwrite",
        ("test",),
        "make results anew that exist; without it, a result that was made with equal settings is skipped, and one "
        "made with other settings is an error",
        ON,
    ),
    Flag(
        "outscale",
        ("test",),
        "final size of the results, relative to LR: a network of the next larger scale restores, and MATLAB's bicubic "
        f"imresize does the rest; at most {MAX_OUTSCALE}",
        {"type": number(0, MAX_OUTSCALE, above=True), "metavar": "X"},
    ),
    Flag(
        "size",
        ("test",),
        "final width and height of the results in pixels, such as 1920x1080, reached as with --outscale",
        {"type": final_size, "metavar": "W×H"},
    ),
    Flag("dry_run", ("test",), "list what would be restored, skipped and left out, and write nothing", ON),
)
RESTORING_GROUPS = {"Results of --input": RESTORING_FLAGS}
DEFAULT_TEXTS = {
    "quality": str(DEFAULT_QUALITY),
    "suffix": "none",
    "outscale": "the scale of the network",
    "size": "LR times the scale of the network",
}

"""The flags of exporting networks."""

from srmd.cli.flag import ON, Flag
from srmd.cli.values import words

EXPORT_GROUPS: dict[str, tuple[Flag, ...]] = {
    "Export": (
        Flag(
            "export_format",
            ("export",),
            "file format: onnx; ncnn, also for Upscayl and realesrgan-ncnn-vulkan; or safetensors, for programs with "
            "spandrel",
            words("onnx", "ncnn", "safetensors"),
        ),
        Flag(
            "bake",
            ("export",),
            "build in the degradation that --kernel, --noise_level and --jpeg describe: the exported network takes "
            "nothing but a picture",
            ON,
        ),
    ),
}

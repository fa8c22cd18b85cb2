"""SRMD in ComfyUI: copy this folder to ComfyUI/custom_nodes, and install srmd where ComfyUI runs.

"Load Upscale Model" then loads this project's .safetensors files, and the node "Restore (SRMD)" restores pictures with
a degradation that is given or estimated.
"""

import torch

import srmd
from srmd.restore.spandrel import register

register()


class RestoreSRMD:
    """A node that restores a batch of pictures with a shipped network, or with any weights file."""

    RETURN_TYPES, FUNCTION, CATEGORY = ("IMAGE",), "restore", "image/upscaling"

    @classmethod
    def INPUT_TYPES(cls) -> dict:
        """The inputs of the node: `auto` estimates kernel and noise level from each picture."""
        texts = {"weights": "srmd_x2", "kernel": "auto", "noise_level": "auto"}
        return {"required": {"image": ("IMAGE",)} | {key: ("STRING", {"default": text}) for key, text in texts.items()}}

    def restore(self, image: torch.Tensor, weights: str, kernel: str, noise_level: str) -> tuple[torch.Tensor]:
        """Pictures (N, h, w, 3), 0 to 1 → (N, s·h, s·w, 3)."""
        restorer = srmd.load(weights)
        level = noise_level if noise_level == "auto" else float(noise_level)
        results = [restorer.restore(picture.permute(2, 0, 1), kernel, level).permute(1, 2, 0) for picture in image]
        return (torch.stack(results),)


NODE_CLASS_MAPPINGS = {"RestoreSRMD": RestoreSRMD}
NODE_DISPLAY_NAME_MAPPINGS = {"RestoreSRMD": "Restore (SRMD)"}

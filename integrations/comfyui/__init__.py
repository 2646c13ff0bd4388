"""A ComfyUI node that parts generated portraits into clean ones and ones with a visible artifact; see README.md."""

import functools
import json
from pathlib import Path
from typing import Any

import torch

try:
    from comfy_execution.graph import ExecutionBlocker
except ImportError:  # ComfyUI before 0.2, or none: an empty batch is passed on
    ExecutionBlocker = None


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _file(run: str) -> Path:
    from artifact_utils.detector import checkpoint_file, pretrained_file

    return checkpoint_file(run.strip()) if run.strip() else pretrained_file()


@functools.lru_cache(maxsize=2)
def _detector(file: Path, changed: int, only: str, ignore: str) -> Any:
    """The detector, kept from one queue to the next as long as its file does not change."""
    from artifact_utils.detector import Detector

    return Detector.load(file, only=_names(only) or None, ignore=_names(ignore))


def _or_blocked(images: torch.Tensor) -> Any:
    """What no picture went into blocks the nodes behind it: most of them fail on an empty batch."""
    return images if len(images) or ExecutionBlocker is None else ExecutionBlocker(None)


class PortraitArtifactFilter:
    """Images (B, H, W, C), float in 0..1, become a clean batch, a flagged batch, heat maps of all and a report."""

    CATEGORY = "image/filter"
    FUNCTION = "part"
    RETURN_TYPES = ("IMAGE", "IMAGE", "MASK", "STRING")
    RETURN_NAMES = ("clean", "flagged", "heat_maps", "scores")
    OUTPUT_TOOLTIPS = (
        "portraits without a visible artifact",
        "portraits with one",
        "of all images, in their order: where an artifact is seen, 0 to 1",
        "JSON, one entry an image: index, probability, flagged, family",
    )
    DESCRIPTION = "Finds visible artifacts in generated portraits: deformed hands and faces, garbled text, glitches."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 (ComfyUI's name)
        families = "families of artifacts, with commas: hands, face, text, objects, glitch"
        threshold = {"default": -1.0, "min": -1.0, "max": 1.0, "step": 0.01, "tooltip": "-1: the model's own"}
        optional = {
            "only": ("STRING", {"default": "", "tooltip": f"count no others: {families}"}),
            "ignore": ("STRING", {"default": "", "tooltip": f"count all but these: {families}"}),
            "run": ("STRING", {"default": "", "tooltip": "run folder or .safetensors; empty: the packaged model"}),
        }
        return {"required": {"images": ("IMAGE",), "threshold": ("FLOAT", threshold)}, "optional": optional}

    @classmethod
    def IS_CHANGED(cls, run: str = "", **_: Any) -> int:  # noqa: N802 (ComfyUI's name)
        file = _file(run)
        return file.stat().st_mtime_ns if file.is_file() else 0

    def part(
        self, images: torch.Tensor, threshold: float, only: str = "", ignore: str = "", run: str = ""
    ) -> tuple[Any, Any, Any, str]:
        from artifact_utils.predictions import MIN_SIDE

        if min(images.shape[1:3]) < MIN_SIDE:
            raise ValueError(f"images of {images.shape[2]} x {images.shape[1]} px are too small: give {MIN_SIDE} px")
        file = _file(run)
        detector = _detector(file, file.stat().st_mtime_ns if file.is_file() else 0, only, ignore)
        least = detector.threshold if threshold < 0 else threshold
        flags, heat, rows = [], [], []
        for index, image in enumerate(images):
            pixels = (image[..., :3].clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
            said = detector.predict(pixels)
            flags.append(said.probability >= least)
            located = detector.model.locator is not None
            heat.append(torch.from_numpy(detector.locate(pixels)) if located else torch.zeros(image.shape[:2]))
            row = {"index": index, "probability": round(said.probability, 4), "flagged": flags[-1]}
            rows.append(row | {"family": said.family})
        flagged = torch.tensor(flags, dtype=torch.bool, device=images.device)
        maps = torch.stack(heat) if heat else torch.zeros(images.shape[:3])
        return _or_blocked(images[~flagged]), _or_blocked(images[flagged]), _or_blocked(maps), json.dumps(rows)


NODE_CLASS_MAPPINGS = {"PortraitArtifactFilter": PortraitArtifactFilter}
NODE_DISPLAY_NAME_MAPPINGS = {"PortraitArtifactFilter": "Portrait Artifact Filter"}

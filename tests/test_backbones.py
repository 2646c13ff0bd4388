import pytest
import torch

from artifact_utils.backbones import BACKBONES
from artifact_utils.models import build_model


@pytest.mark.parametrize("arch", BACKBONES)
def test_running_a_backbone_part_by_part_gives_what_it_gives_in_one(arch):
    model = build_model(arch, weights="none", image_size=64).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        maps, features = BACKBONES[arch].run(model.backbone, images)
        if arch == "efficientnet_lite0":  # its package flattens on its way to the classifier that was taken off
            expected = model.backbone._avg_pooling(model.backbone.extract_features(images)).flatten(1)
        else:
            expected = model.backbone(images).flatten(1)
    torch.testing.assert_close(features, expected)
    assert tuple(fmap.shape[1] for fmap in maps) == BACKBONES[arch].n_channels
    assert maps[0].shape[2:] == (4, 4)  # one cell for 16 x 16 pixels

"""The networks that a classifier stands on: any timm network without its classifier, and where its weights come from.

``Backbone`` is the door: it runs every network in one way. ``networks`` holds it and the presets, ``plans`` how a
network is built and read, ``weights`` where pretrained weights come from, ``packaged`` the form of those that come with
this package, ``parameter_names`` what their tensors are called elsewhere and were called before.
"""

from artifact_utils.backbones.networks import (
    NETWORKS,
    ArchError,
    Backbone,
    check_arch,
    check_sizes,
    comes_packaged,
    normalisation,
)
from artifact_utils.backbones.weights import Weights, WeightsError, load_imagenet, missing_weights

__all__ = [
    "NETWORKS",
    "ArchError",
    "Backbone",
    "Weights",
    "WeightsError",
    "check_arch",
    "check_sizes",
    "comes_packaged",
    "load_imagenet",
    "missing_weights",
    "normalisation",
]

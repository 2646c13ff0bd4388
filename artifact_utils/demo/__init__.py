"""The data set that is there before you have one: portraits of generated people, one in ten with an artifact.

    python -m artifact_utils.demo --out raw

>>> from pathlib import Path
>>> from artifact_utils.demo import ensure_dataset
>>> ensure_dataset(Path("my portraits"))  # only dataset/ is built where there is none

``recipe`` says what it shows, ``openpeople`` cuts the portraits, ``dataset`` builds the set in the raw layout, and
``organised`` brings it to where training looks.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from artifact_utils.demo.dataset import DemoDataError, build_demo_dataset
    from artifact_utils.demo.organised import DEFAULT_DATA, carry_annotations, ensure_dataset

__all__ = ["DEFAULT_DATA", "DemoDataError", "build_demo_dataset", "carry_annotations", "ensure_dataset"]

_MODULES = {"DemoDataError": "dataset", "build_demo_dataset": "dataset"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'organised')}"), name)

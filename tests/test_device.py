import pytest
import torch

from artifact_utils import device
from artifact_utils.device import one_thread, resolve_device, training_dtype

CPU = torch.device("cpu")


def test_auto_is_a_device_that_computes():
    assert torch.ones(2, device=resolve_device("auto")).sum() == 2


@pytest.mark.parametrize(("dense", "has_bf16", "expected"), [
    (True, True, torch.bfloat16), (True, False, None), (False, True, None),
])  # fmt: skip
def test_a_cpu_trains_dense_networks_in_bf16_where_it_multiplies_in_it(monkeypatch, dense, has_bf16, expected):
    monkeypatch.setattr(device, "cpu_has_bf16", lambda: has_bf16)
    assert training_dtype(CPU, "auto", dense=dense) is expected
    assert training_dtype(CPU, "fp32", dense=dense) is None
    assert training_dtype(CPU, "bf16", dense=dense) is torch.bfloat16


def test_one_thread_is_taken_and_given_back():
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), one_thread():
        assert torch.get_num_threads() == 1
        1 / 0  # noqa: B018
    assert torch.get_num_threads() == before

"""Scope: the mean of two sets of weights."""

import pytest
import torch

from training.average import mean


def test_each_tensor_has_its_share_of_both() -> None:
    ours, other = {"a": torch.zeros(2), "b": torch.ones(1)}, {"a": torch.ones(2), "b": torch.ones(1)}
    assert mean(ours, other, 0.25)["a"].tolist() == [0.25, 0.25]
    assert mean(ours, other, 0.25)["b"].tolist() == [1.0]


@pytest.mark.parametrize("other", [{"a": torch.zeros(3)}, {"b": torch.zeros(2)}])
def test_another_architecture_is_an_error(other: dict[str, torch.Tensor]) -> None:
    with pytest.raises(ValueError, match="differ"):
        mean({"a": torch.zeros(2)}, other, 0.5)

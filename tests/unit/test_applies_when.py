"""Which models and data a demand of a policy concerns."""

from __future__ import annotations

import pytest

from auditor.policies.document import AppliesWhen, Facts
from evaluations.spec import Modality, ModelFormat, Role

IMAGES = Facts(
    modality=Modality.IMAGE_CLASSIFIER,
    roles=frozenset({Role.INPUT, Role.TARGET}),
    format=ModelFormat.SAFETENSORS,
)


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ({}, True),
        ({"modality": ["image_classifier"]}, True),
        ({"modality": ["tabular"]}, False),
        ({"roles": ["target"]}, True),
        ({"roles": ["target", "sensitive"]}, False),
        ({"roles": ["target"], "without": ["sensitive", "context"]}, True),
        ({"without": ["context", "target"]}, False),
        ({"parent": True}, False),
        ({"format": ["safetensors"]}, True),
        ({"format": ["onnx", "endpoint"]}, False),
    ],
)
def test_a_demand_concerns_what_its_conditions_name(when: dict[str, object], holds: bool) -> None:
    assert AppliesWhen.model_validate(when).holds(IMAGES) is holds

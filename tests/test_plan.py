from __future__ import annotations

import pytest

from ce_cli.errors import CeError
from ce_cli.plan import Options, OptionValues, bytes_of


def test_every_option_has_a_type_for_callers():
    assert list(OptionValues.__annotations__) == list(Options.__dataclass_fields__)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("task", "ranking"),
        ("confidence", 1.0),
        ("confidence", 0.0),
        ("ece_bins", 0),
        ("top", -1),
        ("jobs", 0),
        ("chunk_rows", 0),
        ("eps", "0.5"),
        ("eps", "much"),
        ("label_smoothing", 1.0),
        ("label_smoothing", -0.1),
        ("delimiter", ",,"),
        ("delimiter", '"'),
        ("join_memory", "much"),
        ("join_memory", "0"),
        ("join_memory", "-1G"),
        ("join_memory", "1.G"),
        ("join_memory", "5 apples"),
        ("join_memory", 0),
    ],
)
def test_a_value_outside_its_domain(name, value):
    with pytest.raises(CeError) as caught:
        Options(**{name: value})
    assert caught.value.code == "bad_option"
    assert "--" + name.replace("_", "-") in str(caught.value)


def test_the_input_base_is_that_of_log_probabilities():
    with pytest.raises(CeError, match="input-base"):
        Options(input="probs", input_base="2")
    assert Options(input="logprobs", input_base="2").input_base == "2"


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ("500M", 500 * 1024**2),
        ("1.5GiB", 1536 * 1024**2),
        ("2g", 2 * 1024**3),
        ("2 GB", 2 * 10**9),
        ("64kb", 64_000),
        ("64KiB", 65_536),
        ("1T", 1024**4),
        ("4096", 4096),
        ("4096B", 4096),
        (4096, 4096),
        ("0.5B", None),
        ("GiB", None),
        ("", None),
    ],
)
def test_sizes(size, expected):
    assert bytes_of(size) == expected

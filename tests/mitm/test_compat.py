"""What is needed of mitmproxy: checked when we are imported, told clearly."""

from __future__ import annotations

import pytest

from alg.core.errors import ConfigError
from alg.mitm import compat


def test_this_version_has_all() -> None:
    """The check is that of the import."""
    compat.check(compat.NEEDED)
    assert compat.version_warning() is None


class Other:
    """A mitmproxy of another time."""

    def renamed(self, other: int) -> None:
        """Its parameter had another name."""


@pytest.mark.parametrize(("name", "told"), [("gone", "Other.gone"), ("renamed", "Other.renamed(self, event)")])
def test_what_is_missing_is_named(name: str, told: str) -> None:
    """With the versions that would do."""
    with pytest.raises(ConfigError) as error:
        compat.check([*compat.NEEDED, (Other, name, ("self", "event"))])
    assert told in str(error.value)
    assert "install one of 'mitmproxy>=11.0.2,<13'" in str(error.value)


@pytest.mark.parametrize(
    ("version", "warns"),
    [
        ("11.0.2", False),
        ("12.3.1", False),
        ("12.99.0", False),
        ("11.0.1", True),
        ("13.0.0", True),
        ("13.0.0.dev", True),
    ],
)
def test_versions(version: str, warns: bool) -> None:
    """The oldest, the newest, and those beside them."""
    assert (compat.version_warning(version) is not None) is warns

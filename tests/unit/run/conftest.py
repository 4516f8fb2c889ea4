"""Settings of these tests."""

import pytest

from caplab.run import pages


@pytest.fixture(autouse=True)
def without_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the bundling of the charts' library, which would be kept in the user's cache."""
    monkeypatch.setattr(pages, "chart_library", lambda: "")

"""The console in Chromium. Playwright is installed by `make browser` alone: without it nothing is collected here."""

from importlib.util import find_spec

if find_spec("playwright"):
    from tests.benchmarks.conftest import report
    from tests.browser.fixtures import browser, look, scene

    __all__ = ["browser", "look", "report", "scene"]
else:
    collect_ignore_glob = ["test_*.py"]

"Fixtures shared by all tests."
import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    "Folder with real camera files (AURORA_NB_TEST_DATA, else ../shared/data); the test is skipped where it is absent."
    folder = Path(os.environ.get("AURORA_NB_TEST_DATA", PROJECT.parent / "shared/data"))
    if not folder.is_dir():
        pytest.skip(f"no real camera files: {folder} does not exist; set AURORA_NB_TEST_DATA to their folder")
    return folder

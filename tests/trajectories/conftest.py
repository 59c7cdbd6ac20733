"""One thread for linear algebra: on small matrices several only wait for each other."""

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True, scope="session")
def single_thread():
    with threadpool_limits(1):
        yield

"""One export of the small run for every test that only looks at it."""

import pytest


@pytest.fixture(scope="session")
def exported(trained, tmp_path_factory):
    """The folder of a version with the SavedModel alone."""
    from stfn_keras.exporting.export import export

    return export(trained, tmp_path_factory.mktemp("models") / "stfn")

"""What hand-crafted features need besides this package's own dependencies."""

import importlib.util

from stfn_keras.errors import UserError


def require_sklearn() -> None:
    """Check that scikit-learn is installed.

    Raises:
        UserError: It is missing; says how to install it.
    """
    if importlib.util.find_spec("sklearn") is None:
        raise UserError(
            "expected scikit-learn to be installed, which hand-crafted features need. "
            "Received: no such package: pip install 'stfn-keras[trajectories]'"
        )

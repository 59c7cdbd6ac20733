"""Packages that only some commands need: asked for before the work begins."""

import importlib.util

from stfn_keras.errors import UserError


def require_sklearn(what: str) -> None:
    """Check that scikit-learn is installed.

    Args:
        what: Needs it, for the message.

    Raises:
        UserError: It is missing; says how to install it.
    """
    if importlib.util.find_spec("sklearn") is None:
        raise UserError(
            f"expected scikit-learn to be installed, which {what} needs. Received: no "
            "such package: in the checkout, pip install '.[trajectories]'"
        )

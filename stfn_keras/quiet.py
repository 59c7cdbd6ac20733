"""Import TensorFlow without its native start-up notices, and hold back others."""

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator

from stfn_keras.accelerators import missing_backend, prepare_card
from stfn_keras.errors import UserError


@contextlib.contextmanager
def held_stderr(shown: bool = True) -> Iterator[None]:
    """Hold back what native code, too, writes to standard error in the `with`.

    Args:
        shown: Whether it is written after all if the `with` ends in an exception.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            if shown:
                held.seek(0)
                os.write(kept, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)


def import_keras_quietly() -> None:
    """Import Keras and its backend with native standard error held back.

    TensorFlow prints notices (no GPU found, oneDNN is on) before its own log level
    takes effect. What was held back is shown if the import fails. Its warnings of
    graphs traced anew are turned off: each stage and each network has its own.

    Raises:
        UserError: The backend's package is not installed.
    """
    missing = missing_backend(os.environ.get("KERAS_BACKEND", ""))
    if missing:
        raise UserError(missing)
    # Notices at run time, even at its error level, concern the hardware alone.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with held_stderr():
        import keras

        hint = prepare_card(keras.backend.backend())
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
    if hint:
        print(hint, file=sys.stderr)

"""Import TensorFlow without its native start-up notices."""

import logging
import os
import sys
import tempfile


def import_keras_quietly() -> None:
    """Import Keras and its backend with native standard error held back.

    TensorFlow prints notices (no GPU found, oneDNN is on) before its own log level
    takes effect. What was held back is shown if the import fails. Its warnings of
    graphs traced anew are turned off: each stage and each network has its own.
    """
    # Notices at run time, even at its error level, concern the hardware alone.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            import keras  # noqa: F401

            logging.getLogger("tensorflow").setLevel(logging.ERROR)
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)

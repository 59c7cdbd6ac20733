"""Serve an exported model by KServe's Python server, in TensorFlow Serving's JSON.

python -m stfn_keras.serving.servers.kserve --model models/stfn --http_port 8080

Answers POST /v1/models/stfn:predict with {"signature_name": "serve_jpeg", "inputs":
{"rgb_jpeg": [[{"b64": "..."}, ...]], "flow_jpeg": [[...]]}}. Needs kserve, in an
environment of its own: docs/serving.md. It listens on every address of the machine.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from absl import flags as absl_flags

from stfn_keras import flags
from stfn_keras.errors import UserError
from stfn_keras.quiet import import_keras_quietly
from stfn_keras.serving.servers.ports import check_free, define_port

VERSION = "0.21.0"  # that it was tried with
JSON = "application/json"
EVERYWHERE = "0.0.0.0"  # noqa: S104 (KServe listens there, whatever it is told)


def define_flags() -> None:
    """Define every flag of the command."""
    absl_flags.DEFINE_string("model", None, "exported model", required=True)
    absl_flags.DEFINE_string(
        "name", "", "its name on the server; of the folder if none"
    )
    define_port("http_port", 8080, "port of HTTP")
    absl_flags.DEFINE_integer(
        "workers", os.cpu_count() or 1, "requests computed at a time", lower_bound=1
    )


def main(_: Sequence[str]) -> None:
    """Serve until stopped."""
    values = absl_flags.FLAGS
    check_free(EVERYWHERE, {"http_port": values.http_port})
    import_keras_quietly()
    from stfn_keras.serving.servers.checks import Refused
    from stfn_keras.serving.servers.json_form import from_json, to_json
    from stfn_keras.serving.servers.model import DEFAULT_SIGNATURE, ServedModel

    sys.argv = sys.argv[:1]  # kserve reads them itself when it is imported
    try:
        import kserve
        from kserve.errors import InvalidInput, ModelNotFound
    except ImportError as error:
        raise UserError(
            f"expected KServe to be installed. Received: {error}; in an environment "
            f"of its own, pip install -e . kserve=={VERSION}"
        ) from error

    served = ServedModel(Path(values.model))
    threads = ThreadPoolExecutor(values.workers)

    def answer(payload: Any, kind: str) -> dict[str, Any]:
        if isinstance(payload, bytes):  # KServe reads no other body
            raise Refused(f"Content-Type must be {JSON}. Received: {kind or 'none'}")
        if not isinstance(payload, dict) or not isinstance(payload.get("inputs"), dict):
            raise Refused('inputs is missing: expected {"inputs": {NAME: ..., ...}}')
        signature = payload.get("signature_name", DEFAULT_SIGNATURE)
        specs = served.specs(signature)
        return {
            "outputs": to_json(
                served.answer(signature, from_json(payload["inputs"], specs))
            )
        }

    class Model(kserve.Model):
        """The model as KServe calls it."""

        def validate(self, payload: Any) -> Any:
            """Leave it to `predict`, which names the input."""
            return payload

        async def predict(
            self, payload: Any, headers: dict[str, str] | None = None
        ) -> dict[str, Any]:
            """Answer a request in a thread, so that others are heard meanwhile."""
            loop = asyncio.get_running_loop()
            kind = (headers or {}).get("content-type", "")
            try:
                return await loop.run_in_executor(threads, answer, payload, kind)
            except Refused as error:
                raise InvalidInput(str(error)) from error

    model = Model(values.name or served.name)
    model.load()
    server = kserve.ModelServer(http_port=values.http_port, enable_grpc=False)
    logging.getLogger("kserve").addFilter(OneLine(InvalidInput, ModelNotFound))
    check_free(EVERYWHERE, {"http_port": values.http_port})  # loading took a while
    print(
        f"serving {served.folder} as {model.name} on port {values.http_port}",
        flush=True,
    )
    server.start([model])


class OneLine(logging.Filter):
    """Makes one line of the traceback that KServe logs of each refused request.

    Args:
        refusals: Errors that are the request's; others keep their traceback.
    """

    def __init__(self, *refusals: type[BaseException]) -> None:
        super().__init__()
        self._refusals = refusals

    def filter(self, record: logging.LogRecord) -> bool:
        """Shorten a record in place; all are logged."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, self._refusals):
            record.msg, record.args = "refused: %s", (" ".join(str(error).split()),)
            record.exc_info, record.levelno = None, logging.WARNING
            record.levelname = logging.getLevelName(logging.WARNING)
        return True


if __name__ == "__main__":
    define_flags()
    flags.run(main)

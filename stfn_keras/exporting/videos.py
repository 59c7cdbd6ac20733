"""The videos of an export: those that formats are compared on, and int8's own.

with open_videos(run, data, config, verify, {"rgb": 224, "flow": 224}) as videos:
    videos.source         # of test videos, or of made-up ones
    videos.calibration()  # views of training videos
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stfn_keras.data.manifest import VerifyConfig
from stfn_keras.data.source import Source, naming_damage, open_source
from stfn_keras.exporting.calibration import calibration_views
from stfn_keras.exporting.formats import Calibration
from stfn_keras.exporting.made_up import made_up_source
from stfn_keras.exporting.options import ExportConfig
from stfn_keras.serving.formats import FORMATS
from stfn_keras.training.run import Run
from stfn_keras.video.extent import Extent


@dataclass(frozen=True)
class Videos:
    """Videos to export with.

    Attributes:
        source: What formats are compared on.
        made_up: Whether these show nothing.
        calibration: Begins to read training snippets; None where there are none.
    """

    source: Source
    made_up: bool
    calibration: Callable[[], Calibration] | None


@contextlib.contextmanager
def open_videos(
    run: Run,
    data: Path | None,
    config: ExportConfig,
    verify: VerifyConfig,
    sizes: dict[str, int],
) -> Iterator[Videos]:
    """Give the run's videos while the `with` lasts, shards checked; or made-up ones.

    Args:
        run: The run.
        data: Where its data lie now, if moved.
        config: What is exported.
        verify: How shards are checked.
        sizes: Side in pixels of each stream's input, by stream.

    Raises:
        UserError: The data are not the run's; a shard is damaged, also while it is
            read.
    """
    if data is None and not run.data:
        with made_up_source(run, sizes) as source:
            yield Videos(source, made_up=True, calibration=None)
        return
    calibrated = any(FORMATS[name].calibrated for name in config.formats)
    folder, manifest = run.manifest(data)
    split = run.training.split
    for role in ("e", "r") if calibrated else ("e",):
        manifest.verify(folder, verify.full, split, role)

    def calibration() -> Calibration:
        return calibration_views(
            run, folder, manifest, sizes, config.calibration_videos
        )

    with naming_damage(folder, manifest):
        extent = Extent.of(run.model)
        source = open_source(folder, manifest, split, "e", run.flow, sizes, extent)
        yield Videos(source, made_up=False, calibration=calibration)

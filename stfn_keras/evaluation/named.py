"""Which videos a command line means: ids of the data's, their base names, or files.

ids, files = named_videos(source, folder, ["v_Archery_g01_c01.avi", "clip.mp4"])
ids  # ["Archery/v_Archery_g01_c01.avi"]
"""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from stfn_keras.data.index import read_index
from stfn_keras.data.source import Source
from stfn_keras.errors import UserError
from stfn_keras.evaluation.scores import shown_ids


def named_videos(
    source: Source, folder: Path, names: Sequence[str]
) -> tuple[list[str], list[str]]:
    """The ids and the files that names mean, each once and in their order.

    Args:
        source: Shards whose videos may be named.
        folder: Their dataset.
        names: Files, ids as `Scores.video_id` has them, or what follows the last
            slash of an id if no other id ends so.

    Raises:
        UserError: A name is none of these, or ends several ids.
    """
    files = {name: name for name in names if Path(name).is_file()}
    wanted = [name for name in names if name not in files]
    known = _ids(source, folder) if wanted else []
    ends: dict[str, list[str]] = {}
    for known_id in known:
        ends.setdefault(PurePosixPath(known_id).name, []).append(known_id)
    exact, ids = set(known), {}
    for name in wanted:
        found = [name] if name in exact else ends.get(name, [])
        if len(found) > 1:
            raise UserError(
                f"{name} must name one test video. Received the end of "
                f"{len(found)} ids, such as {found[0]} and {found[1]}: give an id"
            )
        if not found:
            like = f" such as {known[0]}," if known else ""
            raise UserError(
                f"expected ids of the split's test videos,{like} as in "
                f"predictions.csv, or video files. Received: {name}"
            )
        ids[found[0]] = name
    return list(ids), list(files)


def _ids(source: Source, folder: Path) -> list[str]:
    shards = {file.name for file in source.files}
    paths = [row.path for row in read_index(folder) if row.shard in shards]
    return [str(i) for i in shown_ids([p.encode("utf-8", "surrogateescape")
                                       for p in paths])]  # fmt: skip

"""Which frames and pairs a snippet takes, also where it reaches beyond the stored."""

import pytest

from stfn_keras.config import ModelConfig, PreparationConfig
from stfn_keras.video.extent import Extent
from stfn_keras.video.prepare import snippet_positions

CONFIG = PreparationConfig(snippets=5, pairs=2)  # reach 3


def starts(extent, video, config=CONFIG):
    return extent.starts(snippet_positions(video, config), video, config)


def test_a_network_takes_what_its_streams_read():
    assert Extent.of(ModelConfig(pairs=7, frames=2)) == Extent(2, 7)
    assert Extent.of(ModelConfig(network="spatial", pairs=7, frames=2)) == Extent(2, 0)
    assert Extent.of(ModelConfig(network="temporal", pairs=7)) == Extent(1, 7)
    assert [e.reach for e in (Extent(), Extent(3, 2), Extent(9, 2))] == [1, 3, 9]


@pytest.mark.parametrize("extent", [Extent(), Extent(3, 0), Extent(3, 2), Extent(1, 1)])
def test_within_the_stored_reach_snippets_stay(extent):
    for video in range(3, 70):
        assert starts(extent, video) == snippet_positions(video, CONFIG)


def test_a_longer_snippet_is_spread_anew():
    # 20 frames: 18 places of 3 frames become 11 of 10, the middle of each place kept.
    assert snippet_positions(20, CONFIG) == [1, 5, 9, 12, 16]
    assert starts(Extent(10, 2), 20) == [0, 3, 5, 7, 10]
    assert starts(Extent(2, 9), 20) == [0, 3, 5, 7, 10]


def test_snippets_stay_inside_and_in_order():
    for video in range(10, 120):
        found = starts(Extent(10, 8), video)
        assert found == sorted(found)
        assert found[0] >= 0 and found[-1] + 10 <= video
        every = PreparationConfig(snippets=video - 2, pairs=2)
        assert starts(Extent(10, 8), video, every)[:: video - 3] == [0, video - 10]


def test_one_snippet_lies_in_the_middle():
    config = PreparationConfig()  # 25 snippets, reach 6
    for video in range(65, 130):
        middle = starts(Extent(64, 64), video, config)[12]
        assert abs(middle - (video - 65) / 2) <= 1


def test_a_short_video_starts_over():
    extent = Extent(6, 5)
    assert starts(extent, 4) == [0] * 5
    found = extent.snippet(0, 4)
    assert found.frames == (0, 1, 2, 3, 0, 1)
    assert found.pairs == (0, 1, 2, 0, 1)  # there is no pair from its end to its start
    assert found.last == 3
    part = extent.snippet(0, 4, first=10)
    assert (part.frames, part.last) == ((10, 11, 12, 13, 10, 11), 13)


def test_a_video_as_long_as_the_frames_repeats_a_pair_alone():
    found = Extent(6, 6).snippet(0, 6)
    assert (found.frames, found.pairs) == ((0, 1, 2, 3, 4, 5), (0, 1, 2, 3, 4, 0))

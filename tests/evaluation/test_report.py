"""The report's page: self-contained, escaped, with places for what comes later."""

import json
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from evaluation.made_up_scores import made_up

from stfn_keras.errors import UserError
from stfn_keras.evaluation import metrics
from stfn_keras.evaluation.page import Section, bar, page, table, with_section
from stfn_keras.evaluation.report import add_formats, add_heat_maps, write_report
from stfn_keras.evaluation.scores import Scores

SETTINGS = {"network": "stfn", "weights_digest": "a" * 64}
VOID = {"meta", "img", "rect", "line", "circle", "br"}


class Checker(HTMLParser):
    """Every element is closed, in order; gathers what a page would load."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.loaded = [], set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.loaded += [v for k, v in attrs if k in ("src", "href", "srcset")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


def checked(text):
    checker = Checker()
    checker.feed(text)
    assert not checker.open
    return checker


def strips(ids):
    _, data = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))
    return {video: data.tobytes() for video in ids}


def with_streams(scores):
    return Scores(scores.video_id, scores.label, scores.logits, scores.classes,
                  {"rgb_logits": scores.logits[::-1]})  # fmt: skip


@pytest.mark.parametrize("classes", [6, 40])
def test_the_page_loads_nothing_and_runs_nothing(tmp_path, classes):
    scores = with_streams(made_up(80, classes))
    write_report(tmp_path / "r", scores, SETTINGS, strips)
    text = (tmp_path / "r" / "index.html").read_text()
    found = checked(text)
    assert not found.tags & {"script", "link", "iframe", "object", "embed", "base"}
    assert found.loaded
    assert all(source.startswith("data:image/") for source in found.loaded)
    assert not re.search(r"https?:|url\(|@import|\son\w+=", text)
    assert "prefers-color-scheme:dark" in text
    assert 'name="viewport"' in text


def test_names_are_text_and_never_markup(tmp_path):
    scores = made_up(12, 3)
    bad = "<script>alert('&')</script>"
    named = Scores(np.array([f"{bad}{i}" for i in range(12)]), scores.label,
                   scores.logits, np.array([bad, "b", "--> <b>"]))  # fmt: skip
    write_report(tmp_path / "r", named, {**SETTINGS, "tower": bad}, strips)
    text = (tmp_path / "r" / "index.html").read_text()
    assert "script" not in checked(text).tags
    assert "&lt;script&gt;" in text
    assert "--> <b>" not in text


def test_the_figures_are_those_of_the_metrics(tmp_path):
    scores = made_up(80, 6)
    found = write_report(tmp_path / "r", scores, SETTINGS)
    text = (tmp_path / "r" / "index.html").read_text()
    assert f"<b>{100 * found['video_top1']:.1f} %</b>top-1 of videos" in text
    assert f"{100 * found['video_top1_low']:.1f} to " in text
    wrong = int((~metrics.predictions(scores)["right"]).sum())
    assert f"{wrong} of 80, surest first" in text


def test_a_network_without_mistakes_has_a_page(tmp_path):
    label = np.array([0, 1])
    scores = Scores(np.array(["a", "b"]), label, 9 * np.eye(2, dtype=np.float32),
                    np.array(["x", "y"]))  # fmt: skip
    write_report(tmp_path / "r", scores, SETTINGS, strips)
    text = (tmp_path / "r" / "index.html").read_text()
    assert "No video is wrong." in text
    checked(text)


def test_heat_maps_and_formats_are_put_in_later(tmp_path):
    folder = tmp_path / "r"
    write_report(folder, made_up(), SETTINGS)
    plain = (folder / "index.html").read_text()
    assert "Heat maps" not in plain
    assert "Exported formats" not in plain
    (folder / "heat").mkdir()
    cv2.imwrite(str(folder / "heat" / "v001 rgb.png"), np.zeros((4, 4, 3), np.uint8))
    rows = {
        "onnx": {"MB": "9.00", "ms": "–", "published": "yes"},
        "openvino": {"MB": "–", "ms": "–", "published": "no: 7 <faults>"},
    }
    add_formats(folder, rows, "on 12 of 102 test videos")
    for _ in range(2):
        add_heat_maps(folder)
    text = (folder / "index.html").read_text()
    checked(text)
    assert text.count("<h2>Heat maps") == text.count('alt="v001 rgb"') == 1
    assert '<td>onnx</td><td class="n">9.00</td><td class="n">–</td><td>yes' in text
    assert '<th class="n">MB</th>' in text and "<td>no: 7 &lt;faults&gt;" in text
    assert "<p>on 12 of 102 test videos</p>" in text
    write_report(folder, made_up(), SETTINGS)  # the same weights: they stay
    text = (folder / "index.html").read_text()
    assert "v001 rgb" in text
    assert "<td>onnx</td>" in text
    write_report(folder, made_up(), {**SETTINGS, "weights_digest": "b" * 64})
    text = (folder / "index.html").read_text()
    assert "v001 rgb" not in text
    assert "<td>onnx</td>" not in text
    assert not (folder / "formats.json").exists()
    assert not list((folder / "heat").iterdir())


def test_heat_maps_of_a_video_stand_together_under_its_caption(tmp_path):
    """They were thumbnails apart from each other, captioned by their files' names."""
    folder = tmp_path / "r"
    write_report(folder, made_up(), SETTINGS)
    (folder / "heat").mkdir()
    for stem, score in (("a", 0.5), ("b", 0.9)):
        for kind in ("gif", "png"):
            (folder / "heat" / f"{stem}.{kind}").write_bytes(stem.encode())
        said = {"caption": f"{stem}<1>: taken for x", "score": score}
        (folder / "heat" / f"{stem}.json").write_text(json.dumps(said))
    add_heat_maps(folder)
    text = (folder / "index.html").read_text()
    checked(text)
    first, second = re.findall(r'<figure class="whole">.*?</figure>', text, re.DOTALL)
    assert "<figcaption>b&lt;1&gt;: taken for x</figcaption>" in first
    assert re.findall("data:image/(png|gif)", first) == ["png", "gif"]
    assert "a&lt;1&gt;: taken for x" in second
    assert "Bars say what the class&#x27;s logit would lose" in text
    write_report(folder, made_up(), {**SETTINGS, "weights_digest": "b" * 64})
    assert not list((folder / "heat").iterdir())


def test_what_is_no_report_is_not_changed(tmp_path):
    with pytest.raises(UserError, match="page of a report"):
        add_heat_maps(tmp_path / "none")
    write_report(tmp_path / "r", made_up(), SETTINGS)
    (tmp_path / "r" / "index.html").write_text("<html>an older version's</html>")
    with pytest.raises(UserError, match="of an older version"):
        add_heat_maps(tmp_path / "r")


def test_a_section_is_replaced_and_no_other():
    text = page("t", [Section("a", "A", "the first"), Section("b", "B", "two")])
    found = with_section(text, Section("a", "", r"\1 three"))
    assert r"\1 three" in found
    assert "two" in found
    assert "the first" not in found
    with pytest.raises(ValueError, match="no section 'c'"):
        with_section(text, Section("c", "", ""))


def test_a_table_shows_what_is_missing():
    assert bar(float("nan")) == "–"
    assert '<td class="n">–</td>' in table(["a"], [[float("nan")]])
    assert "0.5000" in table(["a"], [[0.5]])

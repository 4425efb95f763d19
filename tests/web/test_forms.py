"""The page of a model that takes a table: a form, made from the signature."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge_targets.bundling import bundle
from edge_targets.package import pack
from edge_targets.runtime.contract import Golden, Manifest, Profile, Signature, Tensor, TensorSpec
from edge_targets.runtime.sketch import Sketch
from tests.web.conftest import KEY
from tests.web.scripts import WAIT_MS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

COLUMNS = ("sepal length", "sepal width", "petal length", "petal width")
WEIGHTS = np.array([[0.1], [-0.2], [0.3], [0.4]], np.float32)


def linear_model(outputs: int, classify: bool) -> bytes:
    """`x @ WEIGHTS`, one column an output and each next one negated; a softmax when it sorts."""
    from onnx import TensorProto, helper, numpy_helper

    weights = np.hstack([WEIGHTS * (-1) ** i for i in range(outputs)])
    last = helper.make_node("Softmax", ["sum"], ["y"], axis=1)
    plain = helper.make_node("Identity", ["sum"], ["y"])
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["sum"]), last if classify else plain],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", outputs])],
        [numpy_helper.from_array(weights.astype(np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(model.SerializeToString())


def opened(
    browser: "Browser", serving: Callable[..., str], folder: Path, labels: tuple[str, ...]
) -> "Page":
    """A bundled linear model of two flowers, opened."""
    rows = np.array([[5, 3, 1, 0], [6, 3, 5, 2]], np.float32)
    model = linear_model(len(labels) or 1, bool(labels))
    scores = rows @ WEIGHTS
    both = np.hstack([scores, -scores])
    shares = np.exp(both) / np.exp(both).sum(axis=1, keepdims=True) if labels else scores
    signature = Signature(
        (TensorSpec("x", (-1, 4), columns=COLUMNS),),
        (TensorSpec("y", (-1, len(labels) or 1), unit="" if labels else "cm"),),
        labels,
    )
    golden = Golden(
        {"x": Tensor((2, 4), rows.reshape(-1).tolist())},
        {"y": Tensor(shares.shape, shares.reshape(-1).tolist())},
    )
    profile = Profile(0, {name: Sketch([1.0, 5.0]) for name in COLUMNS})
    manifest = Manifest("flowers", "1", "browser", "onnx", "model.onnx", signature, 1e-4, {})
    members = {"golden.json": golden.dump().encode(), "profile.json": profile.dump().encode()}
    pack(manifest, {"model.onnx": model, **members}, KEY, folder / "flowers.sndl")
    bundle(folder / "flowers.sndl", folder / "site", KEY, [KEY.public])
    page: Page = browser.new_page()
    page.goto(serving(folder / "site"))
    page.evaluate("window.sanderling.ready")
    return page


@pytest.mark.usefixtures("web")
def test_a_table_gets_a_form_and_its_answer(
    chromium: Any, serving: Callable[..., str], tmp_path: Path
) -> None:
    page = opened(chromium, serving, tmp_path, ("small", "large"))

    page.get_by_role("button", name="Example 2").click()
    filled = [page.get_by_label(name).input_value() for name in COLUMNS]
    page.get_by_label("petal length").fill("-50")
    page.get_by_label("petal length").press("Enter")
    page.get_by_role("status").filter(has_text="large").wait_for(timeout=WAIT_MS)

    assert filled == ["6", "3", "5", "2"]
    assert not page.locator("#pad").is_visible()
    page.close()


@pytest.mark.usefixtures("web")
def test_a_model_without_classes_shows_its_number_and_unit(
    chromium: Any, serving: Callable[..., str], tmp_path: Path
) -> None:
    page = opened(chromium, serving, tmp_path, ())

    page.get_by_role("button", name="Example 1").click()

    # 5 * 0.1 - 3 * 0.2 + 1 * 0.3 + 0 * 0.4
    page.get_by_role("status").filter(has_text="0.2 cm").wait_for(timeout=WAIT_MS)
    assert not page.locator("#bars").is_visible()
    page.close()

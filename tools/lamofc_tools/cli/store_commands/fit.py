"""`lamofc fit`: fit profiles and write them to files."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import lamofc_store as lamofc
from lamofc_tools.cli.console import Aware, Coding, Output, OutputFile, SourcePath, Taking, file_name, flat
from lamofc_tools.cli.render import store_text

if TYPE_CHECKING:
    from lamofc_store import Profile


@flat
def fit(source: SourcePath, output: OutputFile, taking: Taking, coding: Coding, aware: Aware, out: Output) -> None:
    """Fit profiles to a source, into files.

    One feature gives the file that -o names; several give a folder of that name with a file for each.
    """
    options = aware.weighed({**taking.options(), **coding.options()}, taking.source(source))
    profiles = lamofc.fit_profiles(taking.source(source), **options)
    out.show({"profiles": saved(profiles, Path(output))}, store_text.profiles)


def saved(profiles: "dict[str, Profile]", target: Path) -> list[dict[str, Any]]:
    """Write each profile; one row for each file."""
    from lamofc_store.exporting import atomic_file

    rows = []
    for feature, profile in profiles.items():
        file = target if len(profiles) == 1 else target / f"{file_name(feature)}.safetensors"
        with atomic_file(file) as out:
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

"""`lamofc fit`: fit profiles and write them to files."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lamofc_store as lamofc
from lamofc_tools.cli.console import (
    AsPublished,
    CodingOptions,
    Findings,
    HeadWeightOptions,
    Output,
    OutputFile,
    SourceConsumerOptions,
    SourceOptions,
    SourcePath,
    file_name,
    flatten_options,
)
from lamofc_tools.cli.render import store_text

if TYPE_CHECKING:
    from lamofc_store import Profile


@dataclass(frozen=True)
class FitOptions(HeadWeightOptions, SourceConsumerOptions):
    """The heads or models that read the features, and the paper that is followed."""

    as_published: AsPublished = None

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments of `fit_profiles`."""
        return {"as_published": self.as_published}


@flatten_options
def fit(
    source: SourcePath,
    output: OutputFile,
    source_options: SourceOptions,
    coding_options: CodingOptions,
    fitting: FitOptions,
    out: Output,
) -> None:
    """Fit profiles to a source, and write them to files.

    With one feature, -o names the file; with several, a folder that gets a file for each.
    """
    samples = source_options.source(source)
    options = {**source_options.options(), **coding_options.options(), **fitting.options()}
    options = fitting.with_weights(options, samples)
    options = fitting.applied(options, samples, source_options.whole_source(source), out)
    findings = Findings()
    profiles = lamofc.fit_profiles(samples, found=findings, **options)
    out.show({"profiles": save_profiles(profiles, Path(output))}, store_text.profiles)
    findings.tell(out.note)


def save_profiles(profiles: "dict[str, Profile]", target: Path) -> list[dict[str, Any]]:
    """Write each profile; return a row for each file."""
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

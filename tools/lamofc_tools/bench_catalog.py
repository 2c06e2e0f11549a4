"""The former name of the program `lamofc_tools.benchmarks.store.catalog`."""

from lamofc_tools.deprecated_names import run_renamed

if __name__ == "__main__":
    run_renamed("lamofc_tools.bench_catalog", "lamofc_tools.benchmarks.store.catalog")

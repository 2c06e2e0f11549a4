"""The former name of the program `lamofc_tools.generate.make_tables`."""

from lamofc_tools.deprecated_names import run_renamed

if __name__ == "__main__":
    run_renamed("lamofc_tools.make_tables", "lamofc_tools.generate.make_tables")

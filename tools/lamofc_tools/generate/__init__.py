"""Programs that write committed files: golden records, frozen tables, console output in documentation."""

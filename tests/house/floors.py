"""The floors of each room, as data: every import leads to a lower floor.

A name is a file at the room's root or a folder below it, written with a dot for each level. Names on one line stand on
one floor and do not import each other. A room's own `__init__` stands above all of its floors.
"""

FLOORS = {
    "lamofc_codecs": """
        errors
        runtime
        runtime.products
        profile quality pooling record entropy published
        stats level_coding
        source options
        abilities codec plane
        klt.transform klt.quantise
        klt.layers
        klt.format
        klt.decode klt.gpu
        klt.encode
        klt.fit
        raw uniform codebook video klt
        learned
        contract
        registry
        pipeline
        api
        measured
        testing
    """,
    "lamofc_catalog": """
        errors
        footers schemas
        tombstones stored_form columns
        rows lookup
        merging
        views
        database
        catalog
    """,
    "lamofc_store": """
        errors version defaults deprecation codecs catalog
        storage sample
        commits sources.families sources.contract
        session sources.readers
        sources reading
        segments zarr_view loading
        ingest.request
        ingest.items
        ingest.profiles
        ingest.records
        ingest
        maintenance
        store
        exporting.scripts
        opening exporting
        testing
    """,
    "lamofc_tools": """
        machine plots torch_checkpoint metrics deprecated_names read_rates curve_points
        models.inputs
        models generate make_tables bench_catalog
        consumer.gradients
        consumer.decoder
        consumer.answers
        consumer.media
        consumer
        training_loop
        comparison heads.contract codec_training analysis
        heads.architectures
        heads.published
        evaluation.contract
        evaluation.media
        heads evaluation
        reproduction.parts
        reproduction.tables
        reproduction
        demo cli.console
        benchmarks benchmarks.learning.peers benchmarks.learning.readers cli.render
        benchmarks.learning.replayed
        benchmarks.learning benchmarks.store cli.store_commands cli.model_commands cli.paper_commands
        replay paper_tables
        benchmarks.codecs
        benchmarks.budgets
        cli
    """,
}

MOST_FILES = 12
"""Files of a folder beside its `__init__`: as many as a reader can hold in mind."""

PROGRAMS = ("lamofc_tools.benchmarks", "lamofc_tools.generate")
"""Folders of programs. They are started by name and offer nothing to import, so their files may name each other."""

PUBLIC_FOLDERS = {
    "lamofc_codecs": "entropy stats testing",
    "lamofc_catalog": "",
    "lamofc_store": "catalog codecs errors exporting maintenance sample sources storage testing version",
    "lamofc_tools": "",
}
"""Files and folders of a room that other rooms may import from, beside the room itself."""

"""Kinds of devices, by what runs on them. Read through this module, so that a test can let the CPU stand in for one."""

ACCELERATORS = ("cuda",)
"""Devices on which the encoder transforms, and on which whole batches of records are decoded together."""
TRITON = ("cuda",)
"""Devices that run the Triton kernel of the entropy coder; on others the compiled loop decodes."""

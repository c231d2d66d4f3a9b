"""A sample organisation: files only, to be ingested through the public commands."""

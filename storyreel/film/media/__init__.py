"""Pictures, clips, sound and films: from files to files. Imports no run, no ledger and no API."""

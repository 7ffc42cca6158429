"""Pictures, clips, sound and films: from files to files. Knows no run, no ledger and no API."""

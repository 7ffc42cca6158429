"""The plan of a run: what would run, why and for how much; pure; may import catalog, manifest,
ledger.rows, errors.
"""

"""Storyboard, catalogue and what the ledger holds -> what would run, why and for how much; pure;
may import catalog, manifest, ledger.rows, errors.
"""

"""Reports of a run, as report.json, scenes.csv and a page; may import catalog, manifest, plan,
ledger.rows, ledger.moments, film.media, workspace, errors.
"""

"""The video API: requests, answers read liberally, client, downloads, polling, and where stills
are published; may import catalog, manifest, ledger.rows, workspace, errors.
"""

"""Which clips make the film and where they join, with the pixels and samples in `media`; may
import manifest, catalog, ledger.rows, report.model, workspace, errors.
"""

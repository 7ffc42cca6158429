"""The simulator: a stand-in for the API that keeps its rules and renders real clips.

Knows no run and no ledger.
"""

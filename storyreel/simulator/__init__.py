"""The simulator: a stand-in for the API that keeps its rules and renders real clips; may import
catalog, film, workspace, errors.
"""

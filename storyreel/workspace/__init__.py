"""Files and where they are, settings of the environment, and processes of ours; may import
errors.
"""

"""Models, prices and their sources, as data with its own schema; may import errors."""

"""Write a RunReport to files."""

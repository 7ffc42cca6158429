"""RunReport -> files."""

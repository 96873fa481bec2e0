"""What nature says: species, lines, structures and thermodynamics, each value with its source."""

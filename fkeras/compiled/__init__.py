"""Compiled programs: what is compiled, why, where it is kept, and what may be done to the rows of its batch."""

"""Which choice helped, by how much, and how sure that is: matched pairs, intervals, corrections."""

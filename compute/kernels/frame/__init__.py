"""How exposures lie on a master frame, and the averages of stars found in several."""

"""Stage `frame`: measurements of many exposures in, a master frame of mean positions and magnitudes out."""

"""The geometric distortion of a detector and filter: solved from the stars of its exposures, and judged by them."""

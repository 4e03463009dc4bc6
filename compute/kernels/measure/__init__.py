"""Finding and fitting the stars of one frame, saturated and crowded ones included."""

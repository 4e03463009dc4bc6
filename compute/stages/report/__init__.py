"""Stage `report`: pictures and numbers that tell at a glance whether a catalog can be trusted."""

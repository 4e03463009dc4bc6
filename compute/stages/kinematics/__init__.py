"""Stage `kinematics`: populations of MOTIONS, what they are made of, and how they compare with another catalog."""

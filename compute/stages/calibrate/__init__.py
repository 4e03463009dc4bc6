"""Stage `calibrate`: dithered exposures of one detector and filter in, a library ePSF out.

Anderson & King 2000, section 4; Libralato et al. 2023, section 3: positions are averaged over exposures and imposed
where the ePSF is sampled, and both are refined in turns. Here each turn solves for the ePSF and for one position and
flux per star together, so that a few turns suffice.
"""

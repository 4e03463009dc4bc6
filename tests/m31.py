"""Proper motions of M31 fields by single exposures: Sohn et al. 2012, tables 2 and 3."""

import pandas as pd

# mu_w, mu_n, sigma_w, sigma_n [mas/yr] and background galaxies of each exposure: two by ACS/WFC, four by WFC3/UVIS.
TABLE_2 = {
    "SPHEROID": [
        ("jb4404vsq", -0.0839, -0.0212, 0.0512, 0.0327, 308),
        ("jb4404vuq", 0.0012, -0.0982, 0.0297, 0.0299, 306),
        ("ib4401rsq", -0.0085, 0.0184, 0.0606, 0.0530, 176),
        ("ib4401ruq", -0.0564, -0.0379, 0.0332, 0.0442, 176),
        ("ib4401rxq", -0.0772, -0.0104, 0.0660, 0.0495, 186),
        ("ib4401s1q", -0.0895, -0.0126, 0.0369, 0.0339, 172),
    ],
    "OUTERDISK": [
        ("jb4405jgq", -0.0706, 0.0085, 0.0501, 0.0504, 310),
        ("jb4405jiq", -0.1105, -0.0043, 0.0547, 0.0501, 286),
        ("ib4402urq", -0.0123, 0.0993, 0.0679, 0.0681, 156),
        ("ib4402uwq", -0.0668, -0.1609, 0.0649, 0.0759, 152),
        ("ib4402vqq", -0.0641, 0.1353, 0.0761, 0.0757, 161),
        ("ib4402vuq", 0.0237, -0.1112, 0.0589, 0.0553, 152),
    ],
    "TIDALSTREAM": [
        ("jb4406muq", 0.0425, -0.0895, 0.0574, 0.0601, 321),
        ("jb4406mwq", 0.0104, 0.0098, 0.0564, 0.0518, 317),
        ("ib4403enq", -0.1116, -0.0572, 0.0670, 0.0752, 185),
        ("ib4403epq", -0.0792, -0.0358, 0.0766, 0.0812, 196),
        ("ib4403esq", -0.0445, -0.0474, 0.0883, 0.0731, 175),
        ("ib4403ewq", 0.0298, -0.0148, 0.0794, 0.0728, 185),
    ],
}
# mu_w, mu_n, sigma_w, sigma_n [mas/yr]
TABLE_3 = {
    "SPHEROID": (-0.0458, -0.0376, 0.0165, 0.0154),
    "OUTERDISK": (-0.0533, -0.0104, 0.0246, 0.0244),
    "TIDALSTREAM": (-0.0179, -0.0357, 0.0278, 0.0272),
    "all": (-0.0422, -0.0309, 0.0123, 0.0117),
}
CHI2, DOF = (26.2, 8.5, 1.9), (24, 6, 4)  # section 4.2, equations 2 to 4
UNIT = 1e-4  # of the last digit of either table; what is made of rounded numbers may differ by one


def table_2() -> pd.DataFrame:
    """A row for each exposure."""
    names = ["field", "instrument", "exposure", "mu_w", "mu_n", "sigma_w", "sigma_n", "n_used"]
    instrument = {"j": "ACS/WFC", "i": "WFC3/UVIS"}
    rows = [(field, instrument[row[0][0]], *row) for field, rows in TABLE_2.items() for row in rows]
    return pd.DataFrame(rows, columns=names)

"""Tiny FITS frames of every kind the readers know, written with known values; keywords are changed by `primary`, `sci`.

A keyword given as None is left out, and so is an array.
"""

from pathlib import Path

import numpy as np
from astropy.io import fits

SHAPE = (64, 64)


def _header(*parts: dict) -> fits.Header:
    merged: dict = {}
    for part in parts:
        merged |= part
    return fits.Header({key: value for key, value in merged.items() if value is not None})


def tan_cards(scale: float, crpix: tuple[float, float] = (32.5, 32.5), angle: float = 30.0) -> dict:
    """RA---TAN cards with CD: `scale` [mas/pix], +y at position angle `angle` [deg], east to the left."""
    step, turn = scale / 3.6e6, np.radians(angle)
    return {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CRPIX1": crpix[0],
        "CRPIX2": crpix[1],
        "CRVAL1": 80.49,
        "CRVAL2": -69.5,
        "CD1_1": -step * np.cos(turn),
        "CD1_2": step * np.sin(turn),
        "CD2_1": step * np.sin(turn),
        "CD2_2": step * np.cos(turn),
    }


def star_field(shape: tuple[int, int] = SHAPE, sky: float = 100.0, peak: float = 5000.0, seed: int = 1) -> np.ndarray:
    """Noise-free sky with a grid of round stars, some dozens of pixels well above the sky."""
    y, x = np.indices(shape)
    centres = np.random.default_rng(seed).uniform(-0.5, 0.5, (2, *shape))
    dx, dy = (x % 16) - 8 + centres[0, 0, 0], (y % 16) - 8 + centres[1, 0, 0]
    return (sky + peak * np.exp(-(dx**2 + dy**2) / 4)).astype(np.float32)


def write_jwst(
    path: Path,
    *,
    instrument: str = "NIRISS",
    shape: tuple[int, int] = SHAPE,
    poisson: float = 0.01,
    floor: float = 1e-3,
    primary: dict | None = None,
    sci: dict | None = None,
    arrays: dict | None = None,
) -> str:
    """Write a `_cal` subarray at (100, 200) whose noise is exactly variance = poisson * signal + floor."""
    niriss = instrument == "NIRISS"
    head = _header(
        {
            "TELESCOP": "JWST",
            "INSTRUME": instrument,
            "DETECTOR": "NIS" if niriss else "NRCB1",
            "EXP_TYPE": "NIS_IMAGE" if niriss else "NRC_IMAGE",
            "FILTER": "CLEAR" if niriss else "F200W",
            "PUPIL": "F090W" if niriss else "CLEAR",
            "PROGRAM": "01086",
            "OBSERVTN": "003",
            "VISIT": "001",
            "SUBARRAY": "SUB64",
            "SUBSTRT1": 101,
            "SUBSTRT2": 201,
            "SUBSIZE1": shape[1],
            "SUBSIZE2": shape[0],
            "FASTAXIS": -2 if niriss else 1,
            "SLOWAXIS": -1 if niriss else -2,
            "READPATT": "NISRAPID" if niriss else "RAPID",
            "NGROUPS": 5,
            "EFFEXPTM": 100.0,
            "EXPSTART": 59700.0,
            "EXPMID": 59700.001,
            "EXPEND": 59700.002,
            # The guide star's frame, which must never be mistaken for the detector's.
            "ROLL_REF": 123.0,
            "CAL_VER": "1.9.4",
            "CRDS_CTX": "jwst_1046.pmap",
            "SDP_VER": "2022_2a",
            "PRD_VER": "PRDOPSSOC-055",
        },
        primary or {},
    )
    scale = 65.5 if niriss else 31.0
    sci_head = _header(
        {"BUNIT": "MJy/sr", "PHOTMJSR": 0.4, "VA_SCALE": 1.00001, "JWST_X": 1e7, "JWST_Y": -2e7, "JWST_Z": 3e7},
        tan_cards(scale),
        sci or {},
    )
    data = star_field(shape, sky=0.5, peak=50.0)
    planes: dict = {
        "SCI": data,
        "ERR": np.sqrt(poisson * data + floor),
        "DQ": np.zeros(shape, np.uint32),
        "AREA": np.full(shape, 1.01, np.float32),
        "VAR_POISSON": poisson * data,
        "VAR_RNOISE": np.full(shape, floor, np.float32),
        "VAR_FLAT": np.zeros(shape, np.float32),
    } | (arrays or {})
    hdus = fits.HDUList([fits.PrimaryHDU(header=head)])
    for name, plane in planes.items():
        if plane is not None:
            plane = plane if plane.dtype.kind in "ui" else plane.astype(np.float32)
            hdus.append(fits.ImageHDU(plane, sci_head if name == "SCI" else None, name=name))
    hdus.writeto(path, overwrite=True)
    return str(path)


HST = {
    "WFC": ("ACS", 50.0, {"FILTER1": "F606W", "FILTER2": "CLEAR2L", "CCDAMP": "ABCD"}),
    "HRC": ("ACS", 27.0, {"FILTER1": "F606W", "FILTER2": "CLEAR2S", "CCDAMP": "C"}),
    "UVIS": ("WFC3", 39.6, {"FILTER": "F814W", "CCDAMP": "C"}),
    "IR": ("WFC3", 128.0, {"FILTER": "F160W", "CCDAMP": "ABCD", "SAMP_SEQ": "SPARS50"}),
}


def write_hst(
    path: Path,
    camera: str = "UVIS",
    *,
    floor: float = 40.0,
    primary: dict | None = None,
    imsets: tuple[dict, ...] = ({},),
) -> str:
    """Write an ACS or WFC3 subarray frame, variance = signal + floor [electrons], or the like per second for IR.

    Each of `imsets` may hold `sci` (keywords) and arrays by name; defaults are chip 2 from its pixel (100, 200).
    """
    instrument, scale, optics = HST[camera]
    seconds = 100.0
    head = _header(
        {
            "TELESCOP": "HST",
            "INSTRUME": instrument,
            "DETECTOR": camera,
            "OBSTYPE": "IMAGING",
            "SUBARRAY": True,
            "APERTURE": f"{camera}-SUB",
            "PROPOSID": 9019,
            "LINENUM": "06.001",
            "ROOTNAME": "j8bt06nyq",
            "EXPTIME": seconds,
            "EXPSTART": 52377.0,
            "EXPEND": 52377.002,
            "CAL_VER": "4.4.1",
        },
        {f"ATODGN{amplifier}": 2.0 for amplifier in "ABCD"},
        {f"READNSE{amplifier}": 5.0 for amplifier in "ABCD"},
        optics,
        primary or {},
    )
    hdus = fits.HDUList([fits.PrimaryHDU(header=head)])
    for version, imset in enumerate(imsets, start=1):
        rate = camera == "IR"
        sci_head = _header(
            {"BUNIT": "ELECTRONS/S" if rate else "ELECTRONS", "CCDCHIP": 2, "LTV1": -100.0, "LTV2": -200.0},
            {"VAFACTOR": 1.00004} | tan_cards(scale),
            imset.get("sci", {}),
        )
        unit = seconds if rate else 1.0
        counts = star_field(imset.get("shape", SHAPE))
        planes = {
            "SCI": counts / unit,
            "ERR": np.sqrt(counts + floor) / unit,
            "DQ": np.zeros(counts.shape, np.int16),
            "TIME": np.full(counts.shape, seconds) if rate else None,
        } | {key: plane for key, plane in imset.items() if key.isupper()}
        for name, plane in planes.items():
            if plane is not None:
                plane = plane if plane.dtype.kind in "ui" else plane.astype(np.float32)
                hdus.append(fits.ImageHDU(plane, sci_head if name == "SCI" else None, name=name, ver=version))
    hdus.writeto(path, overwrite=True)
    return str(path)


WFPC2_SCALES = (45.5, 99.6, 99.6, 99.6)


def write_wfpc2(
    folder: Path,
    kind: str = "m",
    *,
    primary: dict | None = None,
    groups: tuple[dict, ...] = ({}, {}, {}, {}),
    flags: np.ndarray | None = None,
) -> str:
    """Write ``u2g40102t_c0m.fits`` (or ``_c0f``, waivered) and its flags beside; chip k+1 is flat at 10 (k + 1) DN."""
    head = _header(
        {
            "TELESCOP": "HST",
            "INSTRUME": "WFPC2",
            "MODE": "FULL",
            "FILTNAM1": "F555W",
            "FILTNAM2": "",
            "ATODGAIN": 7.0,
            "PROPOSID": 5234,
            "LINENUM": "2.030",
            "ROOTNAME": "U2G40102T",
            "EXPTIME": 40.0,
            "EXPSTART": 49500.0,
            "EXPEND": 49500.0005,
        },
        primary or {},
    )
    cube = np.stack([np.full((800, 800), 10.0 * (k + 1), np.float32) for k in range(len(groups))])
    flags = np.zeros(cube.shape, np.int16) if flags is None else flags
    cards = [{"DETECTOR": k + 1} | tan_cards(WFPC2_SCALES[k], (420.0, 424.5)) | group for k, group in enumerate(groups)]
    science, quality = folder / f"u2g40102t_c0{kind}.fits", folder / f"u2g40102t_c1{kind}.fits"
    if kind == "m":
        for path, planes in ((science, cube), (quality, flags)):
            images = [
                fits.ImageHDU(plane, _header(each), name="SCI", ver=k + 1)
                for k, (plane, each) in enumerate(zip(planes, cards, strict=True))
            ]
            fits.HDUList([fits.PrimaryHDU(header=head), *images]).writeto(path, overwrite=True)
        return str(science)
    columns = [
        fits.Column(name=key, format="D25.17", array=[each[key] for each in cards])
        for key in cards[0]
        if not key.startswith("CTYPE") and all(each[key] is not None for each in cards)
    ]
    table = fits.TableHDU.from_columns(columns)
    fits.HDUList([fits.PrimaryHDU(cube, head), table]).writeto(science, overwrite=True)
    fits.PrimaryHDU(flags).writeto(quality, overwrite=True)
    return str(science)

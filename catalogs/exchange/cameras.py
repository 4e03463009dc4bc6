"""How the public STDPSF and STDGDC libraries name cameras and lay detectors side by side in one file."""

import re

__all__ = ["CAMERAS", "MOSAICS", "library_name", "parse_name"]

# Camera token of a file name -> instrument and detector; no detector where one file holds a whole camera.
CAMERAS = {
    "ACSWFC": ("ACS", "WFC"),
    "ACSHRC": ("ACS", "HRC"),
    "WFC3UV": ("WFC3", "UVIS"),
    "WFC3IR": ("WFC3", "IR"),
    "WFPC2": ("WFPC2", ""),
    "NIRISS": ("NIRISS", "NIS"),
    "MIRI": ("MIRI", "MIRIMAGE"),
    "NRCSW": ("NIRCAM", ""),
    "NRCAL": ("NIRCAM", "NRCALONG"),
    "NRCBL": ("NIRCAM", "NRCBLONG"),
    **{f"NRC{module}{n}": ("NIRCAM", f"NRC{module}{n}") for module in "AB" for n in range(1, 5)},
}

# Instrument -> detector size [pix] and the detectors of its whole-camera files, rows from the bottom up.
MOSAICS = {
    "WFPC2": (800, (("PC1", "WF2"), ("WF4", "WF3"))),
    "NIRCAM": (2048, (("NRCA1", "NRCA3", "NRCB4", "NRCB2"), ("NRCA2", "NRCA4", "NRCB3", "NRCB1"))),
}


def parse_name(name: str) -> tuple[str, str, str]:
    """Instrument, detector, filter from ``<STDPSF|PSFSTD|STDGDC>_<camera>_<filter>[_tag].fits``; empty where unknown.

    Some files are published with camera and filter swapped, and all drop the P of long-pass filters; it is put back.
    """
    match = re.match(r"(?:STDPSF|PSFSTD|STDGDC)_([^_.]+)_([^_.]+)", name, re.IGNORECASE)
    camera, filter_name = (token.upper() for token in match.groups()) if match else ("", "")
    if filter_name in CAMERAS:
        camera, filter_name = filter_name, camera
    if camera not in CAMERAS:
        return "", "", ""
    return *CAMERAS[camera], re.sub(r"^(F\d+)L$", r"\1LP", filter_name)


def library_name(kind: str, instrument: str, detector: str, filter_name: str) -> str:
    """File name in library form, e.g. ``STDPSF_WFC3UV_F814W.fits``; inverse of :func:`parse_name`."""
    cameras = {detector: camera for camera, detector in CAMERAS.items()}
    camera = cameras.get((instrument, detector), f"{instrument}{detector}")
    return f"{kind}_{camera}_{re.sub('LP$', 'L', filter_name)}.fits"

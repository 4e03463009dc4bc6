"""Files other programs read and write: ePSF libraries and star lists."""

"""The fit written slowly: SciPy interpolates the table and minimises, derivatives are numerical."""

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.optimize import least_squares


class SlowFit:
    """One star on one window of a frame, for a single-fiducial table sampled four times per pixel.

    Weights are those of the model variance: held while minimising, renewed until they no longer change.
    """

    def __init__(self, image, table, x, y, *, sky, poisson, floor, template, taper, order, half=2):
        j, i = np.mgrid[round(y) - half : round(y) + half + 1, round(x) - half : round(x) + half + 1].reshape(2, -1)
        self.i, self.j, self.light = i, j, image[j, i].astype(float) - sky
        self.table, self.order, self.sky, self.taper = table, order, sky, taper
        self.poisson, self.floor, self.template = poisson, floor, template
        p = np.array([x, y, self.light.sum()])
        for _ in range(50):
            w = self.weight(p) / self.variance(p)
            scale = np.array([1.0, 1.0, p[2]])
            last, p = p, scale * least_squares(
                lambda q, w=w, scale=scale: np.sqrt(w) * (self.light - self.star(q * scale)), p / scale,
                xtol=1e-15, ftol=1e-15, gtol=1e-15, jac="3-point",
            ).x  # fmt: skip
            if (abs(p - last) < 1e-9 * scale).all():
                break
        self.solution = p

    def star(self, p):
        """Light of a star (x, y, flux) in the window."""
        middle = (self.table.shape[0] - 1) / 2
        offsets = [4 * (self.j - p[1]) + middle, 4 * (self.i - p[0]) + middle]
        return p[2] * map_coordinates(self.table, offsets, order=self.order, mode="mirror")

    def variance(self, p):
        star = self.star(p)
        return self.poisson * np.maximum(star + self.sky, 0.0) + self.floor + (self.template * star) ** 2

    def weight(self, p):
        inner, outer = self.taper
        if outer <= 0.0:
            return np.ones(self.i.size)
        return np.clip((outer - np.hypot(self.i - p[0], self.j - p[1])) / (outer - inner), 0.0, 1.0)

    def covariance(self, sky_error=0.0):
        """Of (x, y, flux): linear propagation of every pixel's variance and of the common sky's."""
        p, v = self.solution, self.variance(self.solution)
        step = np.diag([1e-4, 1e-4, 1e-4 * p[2]])
        d = np.array([(self.star(p + s) - self.star(p - s)) / (2 * s.sum()) for s in step])
        w = self.weight(p) / v
        gain = np.linalg.inv(d * w @ d.T) @ (d * w)
        return gain * v @ gain.T + sky_error**2 * np.outer(gain.sum(1), gain.sum(1))

// How far the colours of the page are apart in CIELAB, for full colour sight and for simulated colour blindness.
// The matrices are those of Machado, Oliveira and Fernandes 2009 for full severity, on linear RGB.
const SIGHT = {
  full: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  protanopia: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
  deuteranopia: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
  tritanopia: [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
};
const dot = (a, b) => a.reduce((all, one, at) => all + one * b[at], 0);

function linear(hex) {
  return [1, 3, 5].map(at => parseInt(hex.slice(at, at + 2), 16) / 255).map(value => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
}

function lab(colour) {
  const rgb = colour.map(value => Math.min(Math.max(value, 0), 1));
  const white = [0.95047, 1, 1.08883];
  const xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]].map((row, at) => dot(row, rgb) / white[at]);
  const [x, y, z] = xyz.map(value => (value > 0.008856 ? Math.cbrt(value) : 7.787 * value + 16 / 116));
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

/** The least distance of two of the colours in any sight, as a sentence and a number. */
export function closest(colours) {
  let found = { distance: Infinity, pair: '' };
  for (const [sight, matrix] of Object.entries(SIGHT)) {
    const seen = colours.map(one => lab(matrix.map(row => dot(row, linear(one)))));
    seen.forEach((a, i) => seen.slice(i + 1).forEach((b, j) => {
      const distance = Math.hypot(...a.map((value, at) => value - b[at]));
      if (distance < found.distance) found = { distance, pair: `${colours[i]} and ${colours[i + 1 + j]} in ${sight}` };
    }));
  }
  return found;
}

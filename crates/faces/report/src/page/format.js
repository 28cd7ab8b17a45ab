// Sizes, colours, and small parts of the page.
// By category: a colour, and whether text on it is light. Any two differ by at least 20 in CIELAB for people with full
// colour sight and under simulated protanopia, deuteranopia and tritanopia (Machado 2009); neighbours differ by 30.
const COLOURS = {
  unknown: ['#8f6ea2', true],
  parameter: ['#3a4ab6', true],
  buffer: ['#74ffe5', false],
  gradient: ['#20a462', false],
  optimizer: ['#b5b4fc', false],
  input: ['#581b00', true],
  activation: ['#f8cf2d', false],
  logits: ['#c04703', true],
  kv_cache: ['#6d86fc', false],
  weight_cast: ['#895363', true],
  recompute: ['#c0fdbb', false],
  temporary: ['#300a4d', true],
  kernel_buffer: ['#eb9741', false],
};
const colour = name => (COLOURS[name] || COLOURS.unknown)[0];
const ink = name => ((COLOURS[name] || COLOURS.unknown)[1] ? '#ffffff' : '#14161a');
const colours = data.categories.map(colour);
const spoken = name => name.replace(/_/g, ' ');
const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];

function size(bytes) {
  const sign = bytes < 0 ? '-' : '';
  let amount = Math.abs(bytes), unit = 0;
  while (amount >= 1024 && unit < 4) { amount /= 1024; unit += 1; }
  return `${sign}${unit ? amount.toFixed(2) : amount} ${UNITS[unit]}`;
}

/** 31,105 as people write it, whatever the language of the browser. */
const count = number => String(Math.round(number)).replace(/\B(?=(\d{3})+$)/g, ',');
const percent = (part, all) => `${(part / (all || 1) * 100).toFixed(1)} %`;

/** The step of round ticks, 1, 2 or 5 times a power of ten, so that at most `most` of them are in `range`. */
function roundStep(range, most) {
  const least = range / Math.max(most, 1);
  const power = 10 ** Math.floor(Math.log10(least));
  return power * [1, 2, 5, 10].find(factor => factor * power >= least * 0.999);
}

/** Round ticks of bytes from 0 to `top`, in one unit: pairs of bytes and text. */
function byteTicks(top, most) {
  let unit = 0, scale = 1;
  while (top / scale >= 1024 && unit < 4) { scale *= 1024; unit += 1; }
  const step = Math.max(roundStep(top / scale, most), unit ? 0.001 : 1);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const ticks = [];
  for (let at = 0; at * step * scale <= top; at += 1) ticks.push([at * step * scale, `${(at * step).toFixed(digits)} ${UNITS[unit]}`]);
  return ticks;
}

/** Round ticks of events between two of them. */
function eventTicks(from, to, most) {
  const step = Math.max(1, roundStep(to - from, most));
  const ticks = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) ticks.push(at);
  return ticks;
}

function text(tag, content, className) {
  const node = document.createElement(tag);
  node.textContent = content;
  if (className) node.className = className;
  return node;
}

const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** A canvas in the screen's own pixels, emptied. */
function surface(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const { width, height } = canvas.getBoundingClientRect();
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext('2d');
  context.scale(ratio, ratio);
  context.font = '12px system-ui, sans-serif';
  return { context, width, height };
}

/** Shows lines beside the pointer, or nothing. */
function tip(lines, event) {
  const box = el('tip');
  box.hidden = !lines.length;
  if (!lines.length) return;
  box.replaceChildren(...lines.map(line => text('div', line)));
  const { width, height } = box.getBoundingClientRect();
  const left = event.clientX + 14 + width > innerWidth - 8 ? event.clientX - width - 14 : event.clientX + 14;
  box.style.left = `${clamp(left, 4, innerWidth - width - 4)}px`;
  box.style.top = `${clamp(event.clientY + 14, 4, innerHeight - height - 4)}px`;
}

/** The phases of a prediction have names such as it0.forward.0. */
function phaseName(name) {
  const found = /^it(\d+)\.([a-z_]+)/.exec(name);
  return found ? `step ${Number(found[1]) + 1} ${spoken(found[2])}` : spoken(name);
}

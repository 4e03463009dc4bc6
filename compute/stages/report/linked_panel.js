"use strict";
const SHADES = [0xffffffff, 0xffb4b4b4, 0xff969696, 0xff7d7d7d, 0xff646464, 0xff505050, 0xff3c3c3c, 0xff282828];
const PALE = [0xffffffff, 0xffdcdcdc, 0xffcdcdcd, 0xffc0c0c0, 0xffb4b4b4, 0xffaaaaaa, 0xffa0a0a0, 0xff969696];
const REDS = [0, 0xff5a5ae6, 0xff4646d7, 0xff3232c8, 0xff2323b4, 0xff1919a0, 0xff0f0f8c, 0xff0a0a78]; // ABGR
const FEW = 2000; // selected stars that are drawn larger
const EDGE = { left: 58, right: 10, top: 8, bottom: 42 }; // CSS pixels around the stars

// Round steps of an axis: 1, 2 or 5 times a power of ten.
function ticks(from, to, most) {
  const low = Math.min(from, to), high = Math.max(from, to);
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) found.push(k * step);
  return found.map((value) => [value, value.toFixed(digits).replace("-", "−")]);
}

class Panel {
  constructor(told) {
    this.told = told;
    this.x = columns[told.x];
    this.y = columns[told.y];
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    this.name = document.createElement("span");
    this.name.textContent = told.title;
    this.told_count = document.createElement("output");
    caption.append(this.name, this.told_count);
    this.canvas = document.createElement("canvas");
    this.canvas.id = told.id;
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "application");
    this.canvas.setAttribute("aria-label", `${told.title}: ${told.ylabel} against ${told.xlabel}`);
    figure.append(caption, this.canvas);
    element("panels").append(figure);
    this.outline = [];
    this.cursor = null;
    this.reset();
    listen(this);
    new ResizeObserver(() => this.request()).observe(this.canvas);
  }

  reset() {
    this.limits = [...this.told.limits]; // left, right, top, bottom: what lies where on the canvas
    this.request();
  }

  // Zoom by a factor about a point of the data.
  zoom(factor, about) {
    const [left, right, top, bottom] = this.limits, [x, y] = about;
    const moved = [x + (left - x) / factor, x + (right - x) / factor, y + (top - y) / factor, y + (bottom - y) / factor];
    const sharp = Math.abs(moved[1] - moved[0]) > 1e-6 * Math.abs(this.told.limits[1] - this.told.limits[0]);
    if (sharp) this.limits = moved; // beyond, single precision shows
    this.request();
  }

  // Move the picture by CSS pixels.
  shift(right, down) {
    const [width, height] = this.size(), [x0, x1, y0, y1] = this.limits;
    const dx = (-right / width) * (x1 - x0), dy = (-down / height) * (y1 - y0);
    this.limits = [x0 + dx, x1 + dx, y0 + dy, y1 + dy];
    this.request();
  }

  request() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      this.draw();
    });
  }

  size() {
    const { clientWidth, clientHeight } = this.canvas;
    return [Math.max(clientWidth - EDGE.left - EDGE.right, 10), Math.max(clientHeight - EDGE.top - EDGE.bottom, 10)];
  }

  // From the canvas [CSS pixels] to the data, and back.
  to_data(place) {
    const [width, height] = this.size(), [left, right, top, bottom] = this.limits;
    return [left + ((place[0] - EDGE.left) / width) * (right - left),
            top + ((place[1] - EDGE.top) / height) * (bottom - top)];
  }

  to_place(point) {
    const [width, height] = this.size(), [left, right, top, bottom] = this.limits;
    return [EDGE.left + ((point[0] - left) / (right - left)) * width,
            EDGE.top + ((point[1] - top) / (bottom - top)) * height];
  }

  // Stars go pixel by pixel into an image: fifty thousand take milliseconds.
  draw() {
    const ratio = window.devicePixelRatio || 1, [width, height] = this.size(), canvas = this.canvas;
    canvas.width = Math.round(canvas.clientWidth * ratio);
    canvas.height = Math.round(canvas.clientHeight * ratio);
    canvas.dataset.limits = this.limits.join(" ");
    canvas.dataset.area = [EDGE.left, EDGE.top, width, height].join(" ");
    const across = Math.round(width * ratio), down = Math.round(height * ratio);
    const context = canvas.getContext("2d"), image = context.createImageData(across, down);
    const pixels = new Uint32Array(image.data.buffer), counts = new Uint8Array(pixels.length);
    const [left, right, top, bottom] = this.limits, x = this.x, y = this.y;
    const by = across / (right - left), down_by = down / (bottom - top), wide = Math.max(1, Math.round(1.5 * ratio));
    const mark = (i, size, put) => {
      const column = Math.floor((x[i] - left) * by - (size - 1) / 2), row = Math.floor((y[i] - top) * down_by - (size - 1) / 2);
      if (!(column >= 0 && row >= 0 && column + size <= across && row + size <= down)) return 0;
      for (let v = row; v < row + size; v++) for (let u = column; u < column + size; u++) put(v * across + u);
      return 1;
    };
    let seen = 0, chosen = 0;
    for (let i = 0; i < n; i++) seen += mark(i, wide, (at) => { if (counts[at] < 7) counts[at]++; });
    const shades = total ? PALE : SHADES;
    for (let at = 0; at < pixels.length; at++) pixels[at] = shades[counts[at]];
    counts.fill(0);
    const size = total < FEW ? wide + 1 : wide;
    for (let i = 0; i < n; i++) if (selected[i]) chosen += mark(i, size, (at) => { if (counts[at] < 7) counts[at]++; });
    for (let at = 0; at < pixels.length; at++) if (counts[at]) pixels[at] = REDS[counts[at]];
    context.putImageData(image, Math.round(EDGE.left * ratio), Math.round(EDGE.top * ratio));
    context.scale(ratio, ratio);
    this.frame(context, width, height);
    this.told_count.textContent = `${whole(chosen)} selected of ${whole(seen)} in view`;
    canvas.dataset.selected = chosen;
  }

  frame(context, width, height) {
    const { left, top } = EDGE, [x0, x1, y0, y1] = this.limits;
    context.strokeStyle = context.fillStyle = "#333";
    context.font = "12px system-ui, sans-serif";
    context.strokeRect(left - 0.5, top - 0.5, width + 1, height + 1);
    context.textAlign = "center";
    for (const [value, text] of ticks(x0, x1, width / 70)) {
      const [u] = this.to_place([value, y0]);
      context.fillRect(u - 0.5, top + height, 1, 5);
      context.fillText(text, u, top + height + 18);
    }
    context.fillText(this.told.xlabel, left + width / 2, top + height + 36);
    context.textAlign = "right";
    for (const [value, text] of ticks(y0, y1, height / 50)) {
      const [, v] = this.to_place([x0, value]);
      context.fillRect(left - 5, v - 0.5, 5, 1);
      context.fillText(text, left - 8, v + 4);
    }
    context.save();
    context.translate(13, top + height / 2);
    context.rotate(-Math.PI / 2);
    context.textAlign = "center";
    context.fillText(this.told.ylabel, 0, 0);
    context.restore();
    context.strokeStyle = "#1f618d";
    if (this.outline.length) {
      context.beginPath();
      for (const point of this.outline) context.lineTo(...this.to_place(point));
      context.closePath();
      context.stroke();
    }
    if (this.cursor && document.activeElement === this.canvas) {
      const [u, v] = this.to_place(this.cursor);
      context.strokeRect(u - 8, v, 16, 0);
      context.strokeRect(u, v - 8, 0, 16);
    }
  }
}

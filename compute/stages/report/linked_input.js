// What mouse, pen, fingers and keys do in a panel.
const STEP = 0.02, ZOOM = 1.25, NEAR = 3; // of a panel; a notch; CSS pixels

function listen(panel) {
  const canvas = panel.canvas;
  let drag = null;
  let corner = null; // of a box begun with the keyboard

  const place_of = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const box_of = (one, other) => [one, [other[0], one[1]], other, [one[0], other[1]]];
  const finish = (corners) => {
    panel.outline = [];
    const [x, y] = [panel.x, panel.y];
    combine(inside(x, y, corners), element("combine").value);
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.focus({ preventScroll: true });
    if (event.isTrusted) canvas.setPointerCapture(event.pointerId);
    const tool = document.querySelector("input[name=tool]:checked").value;
    drag = { tool, from: place_of(event), last: place_of(event), path: [panel.to_data(place_of(event))] };
    corner = null;
  });

  canvas.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const place = place_of(event);
    if (drag.tool === "pan") panel.shift(place[0] - drag.last[0], place[1] - drag.last[1]);
    else if (drag.tool === "box") panel.outline = box_of(drag.path[0], panel.to_data(place));
    else {
      if (Math.hypot(place[0] - drag.last[0], place[1] - drag.last[1]) < NEAR) return;
      drag.path.push(panel.to_data(place));
      panel.outline = drag.path;
    }
    drag.last = place;
    panel.request();
  });

  const drop = () => {
    drag = null;
    panel.outline = [];
    panel.request();
  };

  canvas.addEventListener("pointerup", (event) => {
    if (!drag) return;
    const { tool, from, path } = drag, place = place_of(event);
    drop();
    if (tool === "pan" || Math.hypot(place[0] - from[0], place[1] - from[1]) < NEAR) return;
    finish(tool === "box" ? box_of(path[0], panel.to_data(place)) : [...path, panel.to_data(place)]);
  });
  canvas.addEventListener("pointercancel", drop);

  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    panel.zoom(ZOOM ** (-event.deltaY / 100), panel.to_data(place_of(event)));
  }, { passive: false });
  canvas.addEventListener("dblclick", () => panel.reset());
  for (const kind of ["focus", "blur"]) canvas.addEventListener(kind, () => panel.request());

  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const keys = {
    "+": () => panel.zoom(ZOOM, panel.cursor),
    "=": () => panel.zoom(ZOOM, panel.cursor),
    "-": () => panel.zoom(1 / ZOOM, panel.cursor),
    0: () => panel.reset(),
    Enter: () => {
      if (corner) finish(box_of(corner, panel.cursor));
      corner = corner ? null : [...panel.cursor];
    },
    Escape: () => {
      if (!corner && !drag) combine(new Uint8Array(n), "new");
      corner = null;
      drop();
    },
  };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const [width, height] = panel.size(), way = arrows[event.key];
    panel.cursor ??= panel.to_data([EDGE.left + width / 2, EDGE.top + height / 2]);
    if (way && event.shiftKey) panel.shift(-way[0] * width * 5 * STEP, -way[1] * height * 5 * STEP);
    else if (way) {
      const [u, v] = panel.to_place(panel.cursor);
      panel.cursor = panel.to_data([u + way[0] * width * STEP, v + way[1] * height * STEP]);
    } else if (event.key in keys) keys[event.key]();
    else return;
    event.preventDefault();
    panel.outline = corner ? box_of(corner, panel.cursor) : [];
    panel.request();
  });
}

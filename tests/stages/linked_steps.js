// What a person would do with a linked view, and what it tells after each step.
(async () => {
  const told = {}, saved = [];
  URL.createObjectURL = (blob) => { saved.push(blob); return "blob:none"; };
  HTMLAnchorElement.prototype.click = () => {};
  const frames = () => new Promise((done) => setTimeout(done, 100));
  const state = () => ({
    count: document.getElementById("count").textContent,
    panels: [0, 1].map((k) => ({ ...document.getElementById("panel" + k).dataset })),
  });
  const drag = (k, corners) => {
    const canvas = document.getElementById("panel" + k), box = canvas.getBoundingClientRect();
    const [left, top, width, height] = canvas.dataset.area.split(" ").map(Number);
    corners.forEach(([u, v], i) => {
      const kind = i === 0 ? "pointerdown" : "pointermove";
      const at = { clientX: box.left + left + u * width, clientY: box.top + top + v * height, button: 0, pointerId: 1 };
      canvas.dispatchEvent(new PointerEvent(kind, at));
      if (i === corners.length - 1) canvas.dispatchEvent(new PointerEvent("pointerup", at));
    });
  };
  const key = (k, name, options) => document.getElementById("panel" + k).dispatchEvent(
    new KeyboardEvent("keydown", { key: name, ...options }));
  const choose = (id, value) => {
    document.getElementById(id).value = value;
    document.getElementById(id).dispatchEvent(new Event("change"));
  };
  const colour = (k, x, y) => {
    const canvas = document.getElementById("panel" + k), [left, right, top, bottom] =
      canvas.dataset.limits.split(" ").map(Number), [a, b, width, height] = canvas.dataset.area.split(" ").map(Number);
    const ratio = canvas.width / canvas.clientWidth;
    const place = [a + (x - left) / (right - left) * width, b + (y - top) / (bottom - top) * height];
    return [...canvas.getContext("2d").getImageData(...place.map((p) => Math.floor(p * ratio)), 1, 1).data];
  };
  const note = async (name) => { await frames(); told[name] = state(); };
  await note("start");
  drag(0, @box@);
  await note("box");
  told.colours = @alone@.map((point) => colour(1, ...point));
  document.getElementById("save").click();
  told.csv = await saved[0].text();
  document.getElementById("combine").value = "within";
  drag(1, @box@);
  await note("within");
  document.getElementById("combine").value = "new";
  choose("groups", "bright <" + "/script>");
  await note("group");
  document.querySelector("input[value=lasso]").click();
  drag(0, [[0.1, 0.1], [0.9, 0.1], [0.1, 0.9]]);
  await note("lasso");
  key(1, "Enter");
  for (let k = 0; k < 10; k++) { key(1, "ArrowRight"); key(1, "ArrowDown"); }
  key(1, "Enter");
  await note("keys");
  key(1, "Escape");
  await note("cleared");
  for (let k = 0; k < 3; k++) key(1, "+");
  await note("zoomed");
  key(1, "0");
  await note("reset");
  document.querySelector("input[value=pan]").click();
  drag(1, [[0.5, 0.5], [0.6, 0.25]]);
  await note("moved");
  return told;
})().catch((error) => ({ error: `${error.stack}` })).then((told) => {
  const result = document.createElement("pre");
  result.id = "result";
  result.textContent = JSON.stringify(told);
  document.body.append(result);
});

const element = (name) => document.getElementById(name);
const decoded = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const whole = (number) => number.toLocaleString("en");

const data = JSON.parse(element("data").textContent);
const ids = new BigInt64Array(decoded(data.ids).buffer);
const columns = {};
for (const name in data.columns) columns[name] = new Float32Array(decoded(data.columns[name]).buffer);
const n = ids.length;
const selected = new Uint8Array(n);
const panels = [];
let total = 0;

// Which stars lie in a polygon of data coordinates.
function inside(x, y, corners) {
  const found = new Uint8Array(n);
  const xs = corners.map((corner) => corner[0]), ys = corners.map((corner) => corner[1]);
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  for (let i = 0; i < n; i++) {
    const a = x[i], b = y[i];
    if (!(a >= left && a <= right && b >= low && b <= high)) continue;
    let odd = 0;
    for (let j = 0, k = xs.length - 1; j < xs.length; k = j++) {
      if (ys[j] > b !== ys[k] > b && a < ((xs[k] - xs[j]) * (b - ys[j])) / (ys[k] - ys[j]) + xs[j]) odd ^= 1;
    }
    found[i] = odd;
  }
  return found;
}

function combine(found, how) {
  for (let i = 0; i < n; i++) {
    if (how === "new") selected[i] = found[i];
    else if (how === "add") selected[i] |= found[i];
    else if (how === "within") selected[i] &= found[i];
    else selected[i] &= 1 - found[i];
  }
  total = selected.reduce((sum, one) => sum + one, 0);
  element("count").textContent = `${whole(total)} of ${whole(n)} stars selected`;
  element("save").disabled = total === 0;
  for (const panel of panels) panel.request();
}

for (const told of data.panels) panels.push(new Panel(told));
for (const name in data.groups) element("groups").add(new Option(name, name));
element("named").hidden = Object.keys(data.groups).length === 0;
element("groups").addEventListener("change", (event) => {
  if (!event.target.value) return;
  const bits = decoded(data.groups[event.target.value]);
  combine(Uint8Array.from({ length: n }, (_, i) => (bits[i >> 3] >> (i & 7)) & 1), element("combine").value);
  event.target.value = "";
});
element("clear").addEventListener("click", () => combine(new Uint8Array(n), "new"));
element("reset").addEventListener("click", () => panels.forEach((panel) => panel.reset()));
element("save").addEventListener("click", () => {
  const lines = ["star_id"];
  for (let i = 0; i < n; i++) if (selected[i]) lines.push(ids[i].toString());
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
  link.download = data.file;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1e4);
});
combine(new Uint8Array(n), "new");

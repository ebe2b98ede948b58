// Sorts, filters and turns the pages of the table of recordings. The lines stand in the file as data, so that a browser
// lays out a page of them at a time, however many there are.
"use strict";
const store = document.getElementById("lines"), table = document.getElementById("rows");
const LINES = JSON.parse(store.textContent), PAGE = Number(store.dataset.rows);
const words = document.getElementById("words"), shown = document.getElementById("shown");
const back = document.getElementById("back"), on = document.getElementById("on");
const heads = table ? [...table.tHead.rows[0].cells] : [];
let lines = LINES, first = 0;

function clock(seconds) {
  const whole = Math.round(seconds), hours = Math.floor(whole / 3600);
  const tail = (n) => String(n).padStart(2, "0");
  const minutes = Math.floor(whole / 60) % 60;
  return hours ? hours + ":" + tail(minutes) + ":" + tail(whole % 60) : minutes + ":" + tail(whole % 60);
}
const FORMATS = { 2: clock, 3: (share) => share + "%" };

function draw() {
  const rows = lines.slice(first, first + PAGE).map((line) => {
    const row = document.createElement("tr");
    line.forEach((value, column) => {
      const cell = row.insertCell();
      cell.className = column === line.length - 1 ? "faint" : heads[column].className;
      cell.textContent = value === null ? "–" : FORMATS[column] ? FORMATS[column](value) : value;
    });
    return row;
  });
  table.tBodies[0].replaceChildren(...rows);
  back.disabled = first === 0;
  on.disabled = first + PAGE >= lines.length;
  shown.textContent = lines.length ? (first + 1) + "–" + Math.min(first + PAGE, lines.length) + " of " + lines.length : "none";
}

function filter() {
  const wanted = words.value.trim().toLowerCase();
  lines = wanted ? LINES.filter((line) => [line[0], line[1], line[line.length - 1]].join(" ").toLowerCase().includes(wanted)) : [...LINES];
  const sorted = heads.findIndex((head) => head.hasAttribute("aria-sort"));
  if (sorted >= 0) {
    const turned = heads[sorted].getAttribute("aria-sort") === "ascending" ? 1 : -1;
    lines.sort(({ [sorted]: a }, { [sorted]: b }) => a === null || b === null ? (a === null) - (b === null)
      : turned * (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b))));
  }
  first = 0;
  draw();
}

heads.forEach((head) => {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...head.childNodes);
  head.append(button);
  button.addEventListener("click", () => {
    const turned = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", turned);
    filter();
  });
});
if (table) {
  words.addEventListener("input", filter);
  back.addEventListener("click", () => { first = Math.max(0, first - PAGE); draw(); });
  on.addEventListener("click", () => { first += PAGE; draw(); });
  draw();
}

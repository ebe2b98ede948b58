// Draws the timeline in the colours of the page, plays the three pictures of an event, sorts and filters the table.
"use strict";
const figure = document.getElementById("figure");
const PAPER_PX = 660; // wide: fits between the margins of A4 and Letter
const calm = matchMedia("(prefers-reduced-motion: reduce)");

function colour(name) {
  const [style, alpha] = name.split("/");
  const value = getComputedStyle(document.documentElement).getPropertyValue("--" + style).trim()
    || getComputedStyle(document.documentElement).getPropertyValue("--other").trim();
  return alpha ? value + Math.round(255 * alpha).toString(16).padStart(2, "0") : value;
}

function themed() {
  const { data, layout } = JSON.parse(document.getElementById("figure-data").textContent);
  for (const trace of data) {
    if (trace.line) trace.line.color = colour(trace.line.color);
    if (trace.fillcolor) trace.fillcolor = colour(trace.fillcolor);
    if (trace.marker) trace.marker.color = trace.marker.line.color = colour(trace.marker.color);
  }
  const ink = colour("ink"), line = colour("line");
  layout.paper_bgcolor = layout.plot_bgcolor = "rgba(0,0,0,0)";
  layout.font = { color: colour("faint"), size: 13, family: getComputedStyle(document.body).fontFamily };
  layout.modebar = { bgcolor: "rgba(0,0,0,0)", color: line, activecolor: ink };
  layout.hoverlabel = { bgcolor: colour("sheet"), bordercolor: line, font: { color: ink } };
  for (const axis of ["xaxis", "yaxis", "yaxis2"]) Object.assign(layout[axis], { gridcolor: line, linecolor: line, tickcolor: line });
  if (layout.xaxis.rangeslider.visible) Object.assign(layout.xaxis.rangeslider, { bgcolor: colour("ground"), bordercolor: line, borderwidth: 1 });
  if (document.documentElement.classList.contains("paper")) layout.width = PAPER_PX;
  return { data, layout };
}

const config = {
  responsive: true, displaylogo: false, displayModeBar: innerWidth > 820,
  modeBarButtons: [["toImage"], ["zoom2d", "pan2d"], ["zoomIn2d", "zoomOut2d", "resetScale2d"]],
  toImageButtonOptions: { format: "svg", filename: "motion-signal" },
};
function draw() {
  const { data, layout } = themed();
  if (figure.layout && figure.layout.xaxis) layout.xaxis.range = figure.layout.xaxis.range.slice();
  return Plotly.react(figure, data, layout, config);
}

// The plotting library stands in this file, compressed.
async function unpack() {
  const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const library = document.createElement("script");
  library.textContent = await new Response(stream).text();
  document.head.append(library);
}

function shows() { return figure.layout.xaxis.range.map((end) => typeof end === "number" ? end : Date.parse(end + "Z")); }
function show(range) { return Plotly.relayout(figure, { "xaxis.range": range }); }

async function start() {
  await unpack();
  figure.replaceChildren();
  await draw();
  const all = shows();
  figure.on("plotly_click", (event) => {
    const anchor = event.points[0] && event.points[0].customdata;
    if (anchor) location.hash = anchor;
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  for (const [moment, paper] of [["beforeprint", true], ["afterprint", false]]) {
    addEventListener(moment, () => { document.documentElement.classList.toggle("paper", paper); draw(); });
  }
  const moves = {
    earlier: (a, b) => [a - (b - a) / 2, b - (b - a) / 2], later: (a, b) => [a + (b - a) / 2, b + (b - a) / 2],
    closer: (a, b) => [a + (b - a) / 4, b - (b - a) / 4], wider: (a, b) => [a - (b - a) / 2, b + (b - a) / 2], all: () => all,
  };
  for (const button of document.querySelectorAll("[data-move]")) {
    button.addEventListener("click", () => show(moves[button.dataset.move](...shows())));
  }
  for (const button of document.querySelectorAll("button.zoom")) {
    button.addEventListener("click", () => {
      show([Number(button.dataset.start), Number(button.dataset.end)]);
      document.getElementById("timeline").scrollIntoView();
    });
  }
  figure.dataset.drawn = "yes";
}
if (figure) start();

// The eye sees a micro-expression when the three aligned pictures follow each other in one place. Who wants less motion
// steps from one to the next.
for (const button of document.querySelectorAll("button.play")) {
  const card = button.closest(".card");
  const names = ["onset", "apex", "offset"];
  const shown = card.querySelector(".apex img"), caption = card.querySelector(".apex figcaption");
  const usual = caption.innerHTML;
  const frames = names.map((name) => card.querySelector("." + name + " img").src);
  let timer = null, step = 1;
  function turn() {
    step = (step + 1) % 3;
    shown.src = frames[step];
    caption.textContent = "playing: " + names[step];
  }
  if (calm.matches) button.textContent = "Next picture";
  button.addEventListener("click", () => {
    if (calm.matches) { turn(); return; }
    const playing = timer === null;
    button.setAttribute("aria-pressed", playing);
    button.textContent = playing ? "Stop" : "Play";
    if (playing) {
      timer = setInterval(turn, 350);
    } else {
      clearInterval(timer);
      timer = null;
      step = 1;
      shown.src = frames[1];
      caption.innerHTML = usual;
    }
  });
}

// Tables: a click or Enter on a heading sorts, once more turns the order round. What has no value comes last.
function key(row, column) {
  const cell = row.cells[column];
  const text = (cell.dataset.v ?? cell.textContent).trim();
  const number = parseFloat(text);
  return text === "" ? null : Number.isNaN(number) || cell.dataset.v === undefined && !cell.classList.contains("n") ? text : number;
}
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (head.classList.contains("unsorted")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    if (column === 0) head.setAttribute("aria-sort", "ascending");
    button.addEventListener("click", () => {
      const turned = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", turned === 1 ? "ascending" : "descending");
      const keyed = [...table.tBodies[0].rows].map((row) => [key(row, column), row]);
      keyed.sort(([a], [b]) => a === null || b === null ? (a === null) - (b === null)
        : turned * (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b))));
      table.tBodies[0].append(...keyed.map(([, row]) => row));
    });
  });
}

const filters = [...document.querySelectorAll("[data-kind]:is(button)")];
const words = document.getElementById("words"), count = document.getElementById("shown");
function filter() {
  const kind = filters.find((button) => button.getAttribute("aria-pressed") === "true").dataset.kind;
  const wanted = words.value.trim().toLowerCase();
  const rows = [...document.querySelectorAll("#rows tbody tr")];
  for (const row of rows) {
    row.hidden = kind !== "all" && row.dataset.kind !== kind || !row.textContent.toLowerCase().includes(wanted);
    const card = row.dataset.card && document.getElementById(row.dataset.card);
    if (card) card.hidden = row.hidden;
  }
  const left = rows.filter((row) => !row.hidden).length;
  count.textContent = left === rows.length ? "" : left + " of " + rows.length + " events, below as well";
}
for (const button of filters) {
  button.addEventListener("click", () => {
    for (const other of filters) other.setAttribute("aria-pressed", other === button);
    filter();
  });
}
if (words) words.addEventListener("input", filter);

// Draws the timeline in the colours of the page, plays the three pictures of an event, filters the table.
"use strict";
const figure = document.getElementById("figure");
const source = document.getElementById("figure-data").textContent;

function colour(name) {
  const [style, alpha] = name.split("/");
  const value = getComputedStyle(document.documentElement).getPropertyValue("--" + style).trim()
    || getComputedStyle(document.documentElement).getPropertyValue("--other").trim();
  return alpha ? value + Math.round(255 * alpha).toString(16).padStart(2, "0") : value;
}

function themed() {
  const { data, layout } = JSON.parse(source);
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
if (figure) {
  draw().then(() => figure.on("plotly_click", (event) => {
    const anchor = event.points[0] && event.points[0].customdata;
    if (anchor) location.hash = anchor;
  }));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  addEventListener("beforeprint", draw);
  addEventListener("afterprint", draw);
}

for (const button of document.querySelectorAll("button.zoom")) {
  button.addEventListener("click", () => {
    Plotly.relayout(figure, { "xaxis.range": [Number(button.dataset.start), Number(button.dataset.end)] });
    document.getElementById("timeline").scrollIntoView();
  });
}

// The eye sees a micro-expression when the three aligned pictures follow each other in one place.
for (const button of document.querySelectorAll("button.play")) {
  const card = button.closest(".card");
  const frames = ["onset", "apex", "offset"].map((name) => card.querySelector("." + name + " img").src);
  const shown = card.querySelector(".apex img"), caption = card.querySelector(".apex figcaption");
  let timer = null, step = 0;
  button.addEventListener("click", () => {
    const playing = timer === null;
    button.setAttribute("aria-pressed", playing);
    button.textContent = playing ? "Stop" : "Play";
    if (playing) {
      timer = setInterval(() => {
        step = (step + 1) % 3;
        shown.src = frames[step];
        caption.textContent = "playing: " + ["onset", "apex", "offset"][step];
      }, 350);
    } else {
      clearInterval(timer);
      timer = null;
      shown.src = frames[1];
      caption.textContent = "apex";
    }
  });
}

const filters = [...document.querySelectorAll(".filters button")];
for (const button of filters) {
  button.addEventListener("click", () => {
    for (const other of filters) other.setAttribute("aria-pressed", other === button);
    for (const row of document.querySelectorAll("#rows tbody tr")) {
      row.hidden = button.dataset.kind !== "all" && row.dataset.kind !== button.dataset.kind;
    }
  });
}

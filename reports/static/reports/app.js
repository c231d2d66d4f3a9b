"use strict";
// Charts, theme and forms. Everything here adds to pages that work without it.

const plotlySource = document.currentScript?.dataset.plotly ?? document.querySelector("script[data-plotly]").dataset.plotly;
let plotly;

function loadPlotly() {
  plotly ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = plotlySource;
    script.onload = () => resolve(window.Plotly);
    script.onerror = reject;
    document.head.append(script);
  });
  return plotly;
}

// A custom property's colour in the theme in force; light-dark() is resolved only where it is used.
function colour(name) {
  const probe = document.createElement("span");
  probe.className = "probe";
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function coloured(value) {
  if (typeof value === "string" && value.startsWith("--")) return colour(value);
  if (Array.isArray(value)) return value.map(coloured);
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, coloured(one)]));
  }
  return value;
}

async function drawCharts() {
  const places = [...document.querySelectorAll("[data-chart]")];
  if (!places.length) return;
  const Plotly = await loadPlotly();
  for (const place of places) {
    const spec = JSON.parse(document.getElementById(place.dataset.chart).textContent);
    const { data, layout } = coloured(spec);
    layout.font = { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("--muted") };
    await Plotly.react(place, data, layout, { displayModeBar: false, responsive: true });
    drawLegend(place, data, Plotly);
    place.dataset.drawn = document.documentElement.dataset.theme ?? "auto";
  }
}

// Plotly's own legend neither wraps on a telephone nor hears the keyboard. Each name hides its series.
function drawLegend(place, data, Plotly) {
  if (place.previousElementSibling?.matches(".chart-legend")) place.previousElementSibling.remove();
  const named = data.map((series, index) => [series, index]).filter(([series]) => series.showlegend !== false);
  if (named.length < 2) return;
  const list = document.createElement("ul");
  list.className = "legend chart-legend";
  for (const [series, index] of named) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet";
    button.setAttribute("aria-pressed", "true");
    const swatch = document.createElement("i");
    swatch.style.background = series.fillcolor ?? series.marker?.color ?? series.line.color;
    if (series.type === "scatter" && !series.fillcolor) swatch.className = "stroke";
    button.append(swatch, series.name);
    button.addEventListener("click", () => {
      const hide = button.getAttribute("aria-pressed") === "true";
      button.setAttribute("aria-pressed", String(!hide));
      Plotly.restyle(place, { visible: hide ? "legendonly" : true }, [index]);
    });
    const item = document.createElement("li");
    item.append(button);
    list.append(item);
  }
  place.before(list);
}

const THEMES = ["auto", "light", "dark"];

function currentTheme() {
  return document.documentElement.dataset.theme ?? "auto";
}

function showTheme() {
  for (const name of document.querySelectorAll("[data-theme-name]")) name.textContent = currentTheme();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-theme-switch]");
  if (!button) return;
  const next = THEMES[(THEMES.indexOf(currentTheme()) + 1) % THEMES.length];
  if (next === "auto") {
    delete document.documentElement.dataset.theme;
    localStorage.removeItem("theme");
  } else {
    document.documentElement.dataset.theme = next;
    localStorage.setItem("theme", next);
  }
  showTheme();
  drawCharts();
});

document.addEventListener("change", (event) => {
  const field = event.target.closest("[data-submit]");
  if (!field) return;
  // Another bill has days of its own.
  if (field.name === "billing_period") {
    for (const name of ["start", "end"]) field.form.elements[name].value = "";
  }
  field.form.requestSubmit();
});

// Addresses without what was left empty. `by` stays: empty, it asks for periods.
document.addEventListener("htmx:configRequest", (event) => {
  for (const name of ["billing_period", "start", "end", "add_key", "add_value"]) {
    if (!event.detail.parameters[name]) delete event.detail.parameters[name];
  }
});

// What a page asks for after it has opened may fail; the link beside it still works.
document.addEventListener("htmx:responseError", (event) => {
  const waiting = event.target.querySelector?.("[data-waiting]");
  if (waiting) waiting.firstChild.data = "This day could not be computed again: ";
  event.target.setAttribute("aria-busy", "false");
});

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);
document.addEventListener("htmx:afterSettle", () => {
  showTheme();
  drawCharts();
});
showTheme();
drawCharts();

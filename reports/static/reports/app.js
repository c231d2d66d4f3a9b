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

// A view that cannot be shown, or took too long, says so in words where the view would be.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.isError && event.detail.target.id === "main") {
    event.detail.shouldSwap = true;
    event.detail.isError = false;
  }
});

// What a page asks for after it has opened may fail; the link beside it still works.
document.addEventListener("htmx:responseError", (event) => {
  const waiting = event.target.querySelector?.("[data-waiting]");
  if (waiting) waiting.firstChild.data = "This could not be computed again: ";
  event.target.setAttribute("aria-busy", "false");
});

// A figure opens its explanation beside it, in a slide-over: the content of the page that its link leads to.
const over = document.getElementById("over");
let opened = []; // addresses, the one that is shown last

// Names of elements are unique on a page; what slides over it gets names of its own.
function renameIds(root) {
  const own = (name) => (name.startsWith("over-") ? name : `over-${name}`);
  for (const element of root.querySelectorAll("[id]")) element.id = own(element.id);
  for (const place of root.querySelectorAll("[data-chart]")) place.dataset.chart = own(place.dataset.chart);
  for (const attribute of ["for", "aria-labelledby", "aria-describedby"]) {
    for (const element of root.querySelectorAll(`[${attribute}]`)) {
      element.setAttribute(attribute, element.getAttribute(attribute).split(" ").map(own).join(" "));
    }
  }
}

async function showOver(address) {
  const body = over.querySelector("[data-over-body]");
  opened.push(address);
  over.querySelector("[data-over-back]").hidden = opened.length < 2;
  over.querySelector("[data-over-page]").href = address;
  body.replaceChildren(Object.assign(document.createElement("p"), { className: "muted", textContent: "Being computed …" }));
  body.setAttribute("aria-busy", "true");
  if (!over.open) over.showModal();
  let page;
  try {
    const response = await fetch(address, { headers: { Accept: "text/html" } });
    if (response.redirected && new URL(response.url).pathname.startsWith("/login/")) return location.assign(address);
    page = new DOMParser().parseFromString(await response.text(), "text/html");
  } catch {
    page = null;
  }
  if (opened.at(-1) !== address || !over.open) return;
  body.setAttribute("aria-busy", "false");
  const main = page?.querySelector("main");
  if (!main) {
    body.firstChild.textContent = "This could not be loaded. Open it as a page.";
    return;
  }
  for (const link of main.querySelectorAll("a[href]")) link.href = new URL(link.getAttribute("href"), new URL(address, location.href)).href;
  renameIds(main);
  body.replaceChildren(...main.childNodes);
  body.scrollTop = 0;
  over.querySelector("#over-title").textContent = body.querySelector("h1")?.textContent ?? "Explanation";
  window.htmx?.process(body);
  drawCharts();
  body.focus();
}

document.addEventListener("click", (event) => {
  if (event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target.closest("a[href]");
  if (!link || link.hasAttribute("data-over-page")) return;
  const isExplanation = link.origin === location.origin && link.pathname.startsWith("/explain/") && !link.pathname.endsWith(".csv");
  if (!link.hasAttribute("data-over") && !(isExplanation && over.contains(link))) return;
  event.preventDefault();
  showOver(link.href);
});

over?.addEventListener("click", (event) => {
  if (event.target === over || event.target.closest("[data-over-close]")) over.close();
  if (event.target.closest("[data-over-back]")) {
    opened.pop();
    showOver(opened.pop());
  }
});

over?.addEventListener("close", () => {
  opened = [];
  over.querySelector("[data-over-body]").replaceChildren();
});

document.addEventListener("htmx:afterSwap", (event) => {
  if (over?.contains(event.target)) renameIds(over.querySelector("[data-over-body]"));
});

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);
document.addEventListener("htmx:afterSettle", () => {
  showTheme();
  drawCharts();
});
showTheme();
drawCharts();

"use strict";
/* What all views share: the address that keeps the state, light and dark, digits on canvases, one way to fail. */
const DV = { views: {}, about: null };

DV.el = function (id) { return document.getElementById(id); };

DV.make = function (tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
};

/* Numbers: a minus that is a minus where people read, a plain one in commands and addresses. */
DV.shown = function (number, digits) { return number.toFixed(digits).replace("-", "−"); };
DV.plain = function (number, digits) {
  const rounded = Number(number.toFixed(digits === undefined ? 5 : digits));
  return String(rounded === 0 ? 0 : rounded);
};
DV.rounded = function (place) { return place.map(function (value) { return Number(DV.plain(value)); }); };
DV.percent = function (share) { return (share >= 0.9995 ? "100" : share < 0.0005 ? "0" : (100 * share).toFixed(share < 0.1 ? 1 : 0)) + " %"; };
/* A share that may lie below 0 or above 1. */
DV.share = function (share) { return DV.shown(100 * share, 0) + " %"; };
DV.counted = function (number) { return number.toLocaleString("en-US"); };

DV.later = function (wait, what) {
  let timer = null;
  return function (...given) {
    clearTimeout(timer);
    timer = setTimeout(function () { what(...given); }, wait);
  };
};

DV.fail = function (error) {
  if (error && error.name === "AbortError") return;
  const place = DV.el("failure");
  place.textContent = (error && error.message) || String(error);
  place.hidden = false;
};
DV.fine = function () { DV.el("failure").hidden = true; };

/* Bytes and base64 */
DV.bytes = function (text) { return Uint8Array.from(atob(text), function (c) { return c.charCodeAt(0); }); };
DV.base64 = function (bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 4096) text += String.fromCharCode(...bytes.subarray(i, i + 4096));
  return btoa(text);
};
DV.toAddress = function (bytes) { return DV.base64(bytes).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, ""); };
DV.fromAddress = function (text) { return DV.bytes(text.replace(/-/g, "+").replace(/_/g, "/")); };

/* Light and dark */
const LIGHT = ["#6b3d1e", "#aa4499", "#5f9683", "#222222", "#777777", "#e07a3f", "#2f9fde", "#d49200", "#332288", "#7a4fd1"];
const DARK = ["#c99a6b", "#e07fd0", "#8fd0bb", "#f2f2f2", "#9aa0a0", "#f08a4f", "#6cc4f5", "#f5bf3a", "#8d85f0", "#b99cff"];
DV.dark = function () { return document.documentElement.dataset.theme === "dark"; };
DV.palette = function () { return DV.dark() ? DARK : LIGHT; };
DV.colour = function (name) { return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim(); };
DV.rgb = function (name) {
  const hex = DV.colour(name).slice(1);
  return [0, 2, 4].map(function (i) { return parseInt(hex.slice(i, i + 2), 16); });
};
function remembered(value) {
  try {
    if (value === undefined) return localStorage.getItem("digitvae-theme");
    localStorage.setItem("digitvae-theme", value);
  } catch (error) { /* a browser may keep nothing */ }
  return null;
}
const system = matchMedia("(prefers-color-scheme: dark)");
function wear(theme) {
  document.documentElement.dataset.theme = theme;
  const button = DV.el("theme");
  button.textContent = theme === "dark" ? "☀" : "☾";
  button.setAttribute("aria-label", theme === "dark" ? "Change to light" : "Change to dark");
  document.dispatchEvent(new Event("theme"));
}
function themed() { wear(remembered() || (system.matches ? "dark" : "light")); }
DV.calm = function () { return matchMedia("(prefers-reduced-motion: reduce)").matches; };

/* Digits: the ink of the page, as strong as the grey level. */
DV.picture = function (grey, offset, width, height) {
  const [r, g, b] = DV.rgb("ink");
  const image = new ImageData(width, height);
  const cells = new Uint32Array(image.data.buffer);
  const ink = r | (g << 8) | (b << 16);
  for (let i = 0; i < cells.length; i++) cells[i] = ink | (grey[offset + i] << 24);
  return image;
};
DV.paint = function (canvas, grey, index) {
  canvas.grey = [grey, index || 0];
  if (canvas.width !== 28) canvas.width = canvas.height = 28;
  canvas.getContext("2d").putImageData(DV.picture(grey, 784 * (index || 0), 28, 28), 0, 0);
};
DV.digit = function (grey, index, label) {
  const canvas = DV.make("canvas", { class: "digit", width: 28, height: 28, role: "img", "aria-label": label });
  DV.paint(canvas, grey, index);
  return canvas;
};
/* A digit as the file that a link gives: light on dark, as the commands read it. */
DV.save = function (link, grey) {
  const canvas = DV.make("canvas", { width: 28, height: 28 }), pen = canvas.getContext("2d"), image = pen.createImageData(28, 28);
  for (let n = 0; n < 784; n++) image.data.set([grey[n], grey[n], grey[n], 255], 4 * n);
  pen.putImageData(image, 0, 0);
  link.href = canvas.toDataURL("image/png");
};
document.addEventListener("theme", function () {
  for (const canvas of document.querySelectorAll("canvas.digit")) if (canvas.grey) DV.paint(canvas, ...canvas.grey);
});

/* The address: #view?name=value&..., so that a reload or a friend sees the same. */
const kept = {};
let current = null;
DV.keep = function (view, values) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== null && value !== undefined && value !== false) parameters.set(name, String(value));
  }
  kept[view] = parameters;
  if (view === current) noteSoon();
};
function note(how, view) {
  try { history[how](null, "", address(view)); } catch (error) { /* a browser takes so many in a while; the next one counts */ }
}
/* Not at every move of a slider: browsers slow down or stop a page that does so. */
const noteSoon = DV.later(300, function () { note("replaceState", current); });
function address(view) {
  const text = kept[view] ? kept[view].toString().replace(/%2C/g, ",").replace(/%3B/g, ";") : "";
  return "#" + view + (text ? "?" + text : "");
}
DV.go = function (view, focus) {
  if (view !== current) {
    note("replaceState", current);  // what waits to be noted belongs to the view that is left
    note("pushState", view);
  }
  show(view, kept[view] || new URLSearchParams());
  if (focus) DV.el("tab-" + view).focus();
};
function show(view, parameters) {
  if (current && current !== view && DV.views[current].hide) DV.views[current].hide();
  current = view;
  kept[view] = parameters;
  for (const name of Object.keys(DV.views)) {
    DV.el(name).hidden = name !== view;
    const tab = DV.el("tab-" + name);
    tab.setAttribute("aria-selected", String(name === view));
    tab.tabIndex = name === view ? 0 : -1;
  }
  document.title = DV.el("tab-" + view).textContent + " · " + DV.about.name + " · digitvae";
  DV.fine();
  DV.views[view].show(parameters);
}
function fromAddress() {
  const [view, text] = location.hash.slice(1).split("?");
  if (current && !DV.views[view]) return;  // no address of a view
  const found = DV.views[view] ? view : Object.keys(DV.views)[0];
  show(found, new URLSearchParams(text || ""));
}

DV.number = function (parameters, name, fallback, low, high) {
  const value = parameters.has(name) ? Number(parameters.get(name)) : NaN;
  return Number.isFinite(value) && value >= low && value <= high ? value : fallback;
};
DV.whole = function (parameters, name, fallback, low, high) { return Math.round(DV.number(parameters, name, fallback, low, high)); };
/* "1,2;3,4": lists of numbers, so many in each; what is something else is left out. */
DV.lists = function (text, ...lengths) {
  return (text || "").split(";").map(function (list) { return list.split(",").map(Number); })
    .filter(function (list) { return lengths.includes(list.length) && list.every(Number.isFinite); });
};

DV.begin = function () {
  DV.el("theme").addEventListener("click", function () {
    const theme = DV.dark() ? "light" : "dark";
    remembered(theme);
    wear(theme);
  });
  document.querySelector(".skip").addEventListener("click", function (event) {
    event.preventDefault();  // its address would take the place of the state
    DV.el("views").focus();
  });
  system.addEventListener("change", themed);
  themed();
  const names = Object.keys(DV.views);
  for (const name of names) {
    const tab = DV.el("tab-" + name);
    tab.addEventListener("click", function () { DV.go(name); });
    tab.addEventListener("keydown", function (event) {
      const to = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!to) return;
      event.preventDefault();
      DV.go(names[(names.indexOf(name) + to + names.length) % names.length], true);
    });
  }
  addEventListener("hashchange", fromAddress);
  addEventListener("popstate", fromAddress);
  fromAddress();
};
themed();

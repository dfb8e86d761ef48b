"use strict";
/* Sliders along what a style means: slant, thickness, width, then the rest; the digit of one in the style of another. */
DV.views.style = (function () {
  const el = DV.el, WAYS = 6, FARTHEST = 2.5;
  const KNOBS = [["slant", "°", 1, -45, 45], ["thickness", " px", 0.1, 1, 7], ["width", " px", 0.5, 2, 24]];
  let wish = fresh(), busy = false, again = false, begun = false, found = null;

  function fresh() { return { digit: 7, hand: 42, image: null, label: 0, knobs: {}, rest: Array(WAYS).fill(0) }; }

  async function ask() {
    keep();
    again = true;
    if (busy) return;
    busy = true;
    while (again) {
      again = false;
      const asked = JSON.parse(JSON.stringify(wish));
      try {
        found = await DV.source.style(asked);
        if (!again) { DV.fine(); show_style(asked); }
      } catch (error) { if (!again) DV.fail(error); }
    }
    busy = false;
  }

  function show_style(asked) {
    const row = DV.bytes(found.row);
    el("style-row").replaceChildren(...Array.from({ length: 10 }, function (_, n) {
      return DV.make("li", {}, DV.make("button", { type: "button", "aria-pressed": String(n === asked.digit), "aria-label": "Digit " + n, onclick: function () {
        wish.digit = n;
        wish.knobs = {};
        wish.rest.fill(0);
        ask().then(function () { el("style-row").children[n].firstChild.focus({ preventScroll: true }); });
      } }, DV.digit(row, n, "Digit " + n)), DV.make("span", {}, String(n)));
    }));
    DV.paint(el("style-before"), DV.bytes(found.base));
    DV.paint(el("style-after"), DV.bytes(found.image));
    el("before-text").textContent = "Before: " + told(found.before);
    el("after-text").textContent = "Now: " + told(found.after);
    for (const [name, unit, step] of KNOBS) {
      const input = el("knob-" + name), set = asked.knobs[name] !== undefined;
      if (document.activeElement !== input || !set) {
        const value = set ? asked.knobs[name] : found.after[name];
        if (value !== null) input.value = value;
      }
      const shown = set ? asked.knobs[name] : found.after[name];
      el("out-" + name).textContent = shown === null ? "–" : DV.shown(shown, step < 1 ? 1 : 0) + unit;
      el("free-" + name).disabled = !set;
    }
    const ends = DV.bytes(found.ends);
    for (let n = 0; n < WAYS; n++) {
      el("way-" + n).value = asked.rest[n];
      el("way-out-" + n).textContent = DV.shown(asked.rest[n], 1);
      DV.paint(el("low-" + n), ends, 2 * n);
      DV.paint(el("high-" + n), ends, 2 * n + 1);
    }
    DV.again.show("style-again", DV.again.styled(asked, found));
  }
  function told(m) {
    const parts = [["leaning", m.slant, "°"], ["", m.thickness, " px thick"], ["", m.width, " px wide"]];
    return parts.map(function ([name, value, unit]) { return value === null ? "" : (name ? name + " " : "") + DV.shown(value, 1) + unit; }).filter(Boolean).join(", ");
  }

  function keep() {
    DV.keep("style", {
      digit: wish.digit, hand: wish.image ? null : wish.hand,
      image: wish.image ? DV.toAddress(DV.bytes(wish.image)) : null, is: wish.image ? wish.label : null,
      ...wish.knobs,
      rest: wish.rest.some(Boolean) ? wish.rest.map(function (v) { return DV.plain(v, 1); }).join(",") : null,
    });
  }
  function chosen() {
    el("of-hand").setAttribute("aria-pressed", String(!wish.image));
    el("of-drawing").setAttribute("aria-pressed", String(Boolean(wish.image)));
    el("style-hand-group").hidden = Boolean(wish.image);
    el("style-hand").value = wish.hand;
    el("style-save").hidden = !wish.image;
    if (wish.image) DV.save(el("style-save"), DV.bytes(wish.image));
  }
  function hand(number) {
    wish.hand = Math.max(0, Math.min(2 ** 30 - 1, Math.round(number) || 0));
    wish.knobs = {};
    wish.rest.fill(0);
    chosen();
    ask();
  }

  function begin() {
    begun = true;
    if (!DV.about.ownStudio) {
      el("style-notice").textContent = "Digits to order are drawn by the shipped model studio, which has 24 style dimensions; " + DV.about.name + " is not told which digit to draw.";
      el("style-notice").hidden = false;
    }
    for (const [name, unit, step, low, high] of KNOBS) {
      const input = DV.make("input", { type: "range", id: "knob-" + name, min: low, max: high, step, "aria-label": name + (unit === "°" ? " in degrees" : " in pixels"), oninput: function () {
        wish.knobs[name] = Number(input.value);
        el("out-" + name).textContent = DV.shown(wish.knobs[name], step < 1 ? 1 : 0) + unit;
        ask();
      } });
      const free = DV.make("button", { type: "button", id: "free-" + name, "aria-label": "Leave the " + name + " as it comes", onclick: function () { delete wish.knobs[name]; ask(); } }, "↺");
      el("knobs").append(DV.make("div", { class: "slider" }, DV.make("span", {}, name[0].toUpperCase() + name.slice(1)), input, DV.make("output", { id: "out-" + name }), free));
    }
    for (let n = 0; n < WAYS; n++) {
      const input = DV.make("input", { type: "range", id: "way-" + n, min: -FARTHEST, max: FARTHEST, step: 0.1, "aria-label": "Direction " + (n + 1) + ", in standard deviations", oninput: function () {
        wish.rest[n] = Number(input.value);
        ask();
      } });
      const end = function (name) { return DV.make("canvas", { class: "digit", id: name + "-" + n, width: 28, height: 28, "aria-hidden": "true" }); };
      el("ways").append(DV.make("div", { class: "slider way" }, end("low"), input, end("high"), DV.make("output", { id: "way-out-" + n })));
    }
    el("of-hand").addEventListener("click", function () { wish.image = null; wish.knobs = {}; wish.rest.fill(0); chosen(); ask(); });
    el("of-drawing").addEventListener("click", function () {
      if (!DV.drawn) { DV.fail(new Error("Write a digit in the Draw view first; then its style can be taken.")); return; }
      wish.image = DV.drawn.image;
      wish.label = wish.digit = DV.drawn.label;
      wish.knobs = {};
      wish.rest.fill(0);
      chosen();
      ask();
    });
    el("style-hand").addEventListener("change", function () { hand(Number(el("style-hand").value)); });
    el("style-hand-less").addEventListener("click", function () { hand(wish.hand - 1); });
    el("style-hand-more").addEventListener("click", function () { hand(wish.hand + 1); });
    el("style-hand-any").addEventListener("click", function () { hand(Math.floor(Math.random() * 10000)); });
    el("style-reset").addEventListener("click", function () { wish.knobs = {}; wish.rest.fill(0); ask(); });
  }

  function show(parameters) {
    if (!begun) begin();
    wish = fresh();
    wish.digit = DV.whole(parameters, "digit", 7, 0, 9);
    wish.hand = DV.whole(parameters, "hand", 42, 0, 2 ** 30 - 1);
    if (parameters.has("image")) {
      try {
        const grey = DV.fromAddress(parameters.get("image"));
        if (grey.length === 784) { wish.image = DV.base64(grey); wish.label = DV.whole(parameters, "is", 0, 0, 9); }
      } catch (error) { /* an address that somebody cut short */ }
    }
    const within = function (value, low, high) { return Math.min(high, Math.max(low, value)); };  // as far as the slider goes
    for (const [name, , , low, high] of KNOBS) {
      const asked = DV.number(parameters, name, null, -Infinity, Infinity);
      if (asked !== null) wish.knobs[name] = within(asked, low, high);
    }
    for (const [n, value] of (parameters.get("rest") || "").split(",").slice(0, WAYS).entries()) wish.rest[n] = within(Number(value) || 0, -FARTHEST, FARTHEST);
    chosen();
    ask();
  }
  return { show };
})();

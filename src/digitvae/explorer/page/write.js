"use strict";
/* Type a number, see it in a hand, change the hand, take it away. */
DV.views.write = (function () {
  const el = DV.el, OTHERS = 6, OPTIONS = ["ink", "paper", "height"];
  const usual = { text: "2026-11-23", hand: 42, seed: 0, ink: "#000000", paper: "#ffffff", height: 64 };
  let now = { ...usual }, asked = 0, begun = false;
  const urls = new Map();

  /* Whether the picture is shown: not where another text was asked for in the meantime, whose answer may be there. */
  async function picture(image, values, mine) {
    const content = await DV.source.line(values);
    if (mine !== asked) return false;
    if (urls.has(image)) URL.revokeObjectURL(urls.get(image));
    urls.set(image, URL.createObjectURL(content));
    image.src = urls.get(image);
    return true;
  }

  const ask = DV.later(60, async function () {
    const mine = ++asked, values = { ...now };
    keep();
    try {
      if (!await picture(el("written"), values, mine)) return;
      el("write-error").textContent = "";
      el("written").alt = "The number " + values.text + " written by hand " + values.hand;
      for (const kind of ["png", "svg"]) el(kind).href = DV.source.written({ ...values, format: kind });
      DV.again.show("write-again", DV.again.written(values));
      for (const [n, button] of [...el("hands").children].entries()) {
        const other = values.hand + n + 1;
        if (!await picture(button.firstChild, { ...values, hand: other, height: 32 }, mine)) return;
        button.lastChild.textContent = "Hand " + DV.counted(other);
        button.dataset.hand = other;
      }
    } catch (error) { if (mine === asked) el("write-error").textContent = error.message; }
  });

  function keep() {
    DV.keep("write", Object.fromEntries(Object.entries(now).map(function ([name, value]) { return [name, value === usual[name] && name !== "text" && name !== "hand" ? null : value]; })));
  }
  function hand(number) {
    now.hand = Math.max(0, Math.min(2 ** 30 - 1 - OTHERS, Math.round(number) || 0));
    el("hand").value = now.hand;
    ask();
  }

  function begin() {
    begun = true;
    if (!DV.about.ownStudio) {
      el("write-notice").textContent = "Numbers are written by the shipped model studio; " + DV.about.name + " is not told which digit to draw.";
      el("write-notice").hidden = false;
    }
    el("text").addEventListener("input", function () { now.text = el("text").value; ask(); });
    el("hand").addEventListener("change", function () { hand(Number(el("hand").value)); });
    el("hand-less").addEventListener("click", function () { hand(now.hand - 1); });
    el("hand-more").addEventListener("click", function () { hand(now.hand + 1); });
    el("hand-any").addEventListener("click", function () { hand(Math.floor(Math.random() * 10000)); });
    el("again").addEventListener("click", function () { now.seed += 1; ask(); });
    for (const name of OPTIONS) el(name).addEventListener("input", function () { now[name] = name === "height" ? Number(el(name).value) : el(name).value; ask(); });
    for (let n = 0; n < OTHERS; n++) {
      const button = DV.make("button", { type: "button", onclick: function () { hand(Number(button.dataset.hand)); } }, DV.make("img", { alt: "" }), DV.make("span"));
      el("hands").append(button);
    }
  }

  function show(parameters) {
    if (!begun) begin();
    now = { ...usual };
    if (parameters.has("text")) now.text = parameters.get("text").slice(0, 40);
    now.hand = DV.whole(parameters, "hand", usual.hand, 0, 2 ** 30 - 1 - OTHERS);
    now.seed = DV.whole(parameters, "seed", 0, 0, 2 ** 31);
    if ([32, 64, 128, 256].includes(Number(parameters.get("height")))) now.height = Number(parameters.get("height"));
    for (const name of ["ink", "paper"]) if (/^#[0-9a-f]{6}$/.test(parameters.get(name) || "")) now[name] = parameters.get(name);
    for (const name of ["text", "hand", ...OPTIONS]) el(name).value = now[name];
    ask();
  }
  return { show };
})();

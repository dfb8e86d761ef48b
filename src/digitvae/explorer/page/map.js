"use strict";
/* The map: a probe that draws what is under it, pins, a line of digits, and layers over the points. */
DV.views.map = (function () {
  const STEPS = 11, PINS = 24;
  const el = DV.el;
  const known = DV.points;
  let plot, layers;
  let at = null, pins = [], line = null, drag = null, beyond = 0, digit = 0, tool = "line";
  let view = null;  // what is seen: all, or the middle and the reach, which may be asked for before the points are there
  let begun = false, lines = 0;
  const stats = { trips: [], answers: [] };

  function measured(times, since) {
    const took = performance.now() - since;
    if (times.push(took) > 200) times.shift();
    return took;
  }
  /* One question at a time; of those that wait the latest wins. A trip is from the pointer's move to the frame after the
     digit is painted; an answer is what the decoder and the way to it take of that. */
  const asker = { busy: false, next: null, failed: false };
  function ask(place, since) {
    asker.next = [place, since];
    if (asker.busy) return;
    asker.busy = true;
    const began = performance.now();
    asker.next = null;
    DV.source.decode(place, digit).then(function (grey) {
      measured(stats.answers, began);
      DV.paint(el("probe"), grey);
      requestAnimationFrame(function () {
        const took = measured(stats.trips, since);
        el("probe-time").textContent = took.toFixed(took < 10 ? 1 : 0) + " ms";
      });
      if (asker.failed) DV.fine();
      asker.failed = false;
    }, function (error) {
      asker.failed = true;
      DV.fail(error);
    }).finally(function () {
      asker.busy = false;
      if (asker.next) ask(...asker.next);
    });
  }

  function inside(place) {
    if (!known.edge || !known.edge.values) return null;
    const far = Math.max(Math.abs(place[0]), Math.abs(place[1])) >= known.edge.reach;
    return !far && DV.surface.at(known.edge, place[0], place[1]) <= known.edge.level;
  }
  function drawn(place) { return Math.max(Math.abs(place[0]), Math.abs(place[1])) <= DV.source.reach; }
  function where(place) { return place.map(function (v) { return DV.shown(v, plot.decimals); }).join(", "); }
  function coded(place) {
    const { origin, axes } = known.edge ? known.edge.plane : { origin: [0, 0], axes: [[1, 0], [0, 1]] };
    return origin.map(function (o, i) { return o + place[0] * axes[0][i] + place[1] * axes[1][i]; });
  }

  const settle = DV.later(160, async function () {
    const place = at;
    keep();
    DV.again.show("probe-again", DV.again.point(coded(place), digit));
    try {
      const found = DV.source.read ? await DV.source.read(place, digit) : null;
      if (place !== at) return;
      if (found) el("probe-reads").textContent = found.digit + " (" + DV.percent(found.probability) + ")";
      const real = found && found.nearest;
      el("real").hidden = !real;
      if (real) {
        const name = (real.label === null ? "Digit" : (real.label === 8 ? "An " : "A ") + real.label + ", digit") + " " + DV.counted(real.row + 1);
        DV.paint(el("real-digit"), DV.bytes(real.image));
        el("real-text").textContent = name + " of the points";
      }
      const data = inside(place);
      el("said").textContent = "At " + where(place) + (found ? ", reads as " + found.digit : "") +
        (data === null ? "" : data ? ", inside the data" : ", outside the data") + ".";
    } catch (error) {
      if (place !== at) return;
      asker.failed = true;
      DV.fail(error);
    }
  });

  function probe(place, since) {
    at = DV.rounded(place);
    el("probe-place").textContent = where(at);
    const data = inside(at);
    el("probe-data").textContent = !drawn(at) ? "outside, and not exported: this is the nearest digit that is" :
      data === null ? "–" : data ? "inside" : "outside: the model goes on by itself";
    el("probe-data").classList.toggle("out", data === false);
    ask(at, since === undefined ? performance.now() : since);
    plot.redrawOver();
    settle();
  }
  function drawAs(value) {
    if (value === digit) return;
    digit = value;
    el("as").value = digit;
    layers.stale();
    showLine();
    plot.redraw();
  }

  function pin(place) {
    const made = { place: DV.rounded(place), digit };
    if (pins.some(function (p) { return String(p.place) === String(made.place) && p.digit === digit; })) return;
    pins.push(made);
    if (pins.length > PINS) pins.shift();
    showPins();
    keep();
  }
  /* Each as the digit that it was pinned as, decoded once. */
  async function showPins() {
    el("pins-part").hidden = !pins.length;
    plot.redrawOver();
    try {
      for (const as of new Set(pins.map(function (p) { return p.digit; }))) {
        const some = pins.filter(function (p) { return p.digit === as && !p.grey; });
        if (!some.length) continue;
        const grey = await DV.source.decode(some.flatMap(function (p) { return p.place; }), as);
        some.forEach(function (p, n) { p.grey = grey.subarray(784 * n, 784 * (n + 1)); });
      }
      el("pins").replaceChildren(...pins.filter(function (p) { return p.grey; }).map(function (p) {
        const name = where(p.place) + (DV.about.byDigit ? " as " + p.digit : "");
        const go = DV.make("button", { type: "button", class: "pin", "aria-label": "Probe at " + name, onclick: function () { drawAs(p.digit); probe(p.place); } },
          DV.digit(p.grey, 0, "Pinned digit"));
        const drop = DV.make("button", { type: "button", class: "drop", "aria-label": "Remove the pin at " + name, onclick: function () {
          pins = pins.filter(function (other) { return other !== p; });
          showPins();
          keep();
        } }, "×");
        return DV.make("li", {}, go, drop, DV.make("span", {}, name));
      }));
    } catch (error) { DV.fail(error); }
  }
  /* A drawing's place, pinned and in sight. */
  function find(place, label) {
    DV.go("map");
    drawAs(DV.about.byDigit ? label : 0);
    plot.look(0, 0, Math.max(plot.home, 1.1 * Math.abs(place[0]), 1.1 * Math.abs(place[1])));
    seen();
    probe(place);
    pin(place);
  }

  const showLine = DV.later(30, async function () {
    const mine = ++lines;
    el("line").hidden = !line;
    plot.redrawOver();
    keep();
    if (!line) return;
    const [a, b] = line, more = beyond, as = digit;
    const shares = Array.from({ length: STEPS }, function (_, n) { return -more + n * (1 + 2 * more) / (STEPS - 1); });
    const way = shares.map(function (share) { return [0, 1].map(function (i) { return a[i] + share * (b[i] - a[i]); }); });
    el("beyond").value = more;
    el("beyond-out").textContent = DV.share(more);
    try {
      const grey = await DV.source.decode(way.flat(), as);
      if (mine !== lines) return;
      const out = way.filter(function (place) { return inside(place) === false; }).length;
      const missing = way.filter(function (place) { return !drawn(place); }).length;
      el("strip").replaceChildren(...way.map(function (place, n) {
        const outside = inside(place) === false;
        const button = DV.make("button", { type: "button", "aria-label": "Probe at " + DV.share(shares[n]) + " of the way" + (outside ? ", outside the data" : ""),
          onclick: function () { probe(place); } }, DV.digit(grey, n, "Digit on the way"));
        return DV.make("li", { class: outside ? "outside" : null }, button, DV.make("span", {}, DV.share(shares[n])));
      }));
      el("line-text").textContent = "From " + where(a) + " to " + where(b) + ". " +
        (missing ? missing + " of " + STEPS + " digits lie beyond what was exported: the nearest that was is shown. " : "") +
        (known.edge && known.edge.values ? (out ? out + " of " + STEPS + " digits lie outside the data, framed in red: there the model has seen nothing." : "All of it lies inside the data.") : "");
      DV.again.show("line-again", DV.again.line(coded(a), coded(b), STEPS, more, as));
    } catch (error) { DV.fail(error); }
  });

  function keep() {
    const text = function (numbers) { return numbers.map(function (v) { return DV.plain(v); }).join(","); };
    DV.keep("map", {
      at: at && text(at),
      pins: pins.map(function (p) { return text(DV.about.byDigit ? [...p.place, p.digit] : p.place); }).join(";") || null,
      line: line && line.map(text).join(";"),
      beyond: line && beyond ? DV.plain(beyond, 2) : null,
      view: view && text(view),
      layers: layers.text(),
      hide: [...plot.hidden].join(",") || null,
      as: digit || null,
      move: tool === "move" ? 1 : null,
    });
  }
  function look() {
    if (!view) return plot.all();
    plot.look(...view);
    if (known.places.length) view = [...plot.middle, plot.reach];  // as near to what was asked for as is allowed
  }
  function seen() {
    view = plot.reach === plot.home && !plot.middle[0] && !plot.middle[1] ? null : [...plot.middle, plot.reach];
    keep();
  }

  function restore(parameters) {
    digit = DV.whole(parameters, "as", 0, 0, 9);
    el("as").value = digit;
    pins = DV.lists(parameters.get("pins"), 2, 3).slice(-PINS).map(function ([x, y, as]) { return { place: [x, y], digit: as >= 0 && as <= 9 ? Math.round(as) : digit }; });
    const ends = DV.lists(parameters.get("line"), 2);
    line = ends.length === 2 ? ends : null;
    beyond = DV.number(parameters, "beyond", 0, 0, 2);
    tool = parameters.has("move") ? "move" : "line";
    view = DV.lists(parameters.get("view"), 3).find(function (v) { return v[2] > 0; }) || null;
    look();
    layers.choose(parameters.get("layers"));
    plot.hidden = new Set((parameters.get("hide") || "").split(",").filter(Boolean).map(Number));
    buttons();
    layers.stale();
    probe(DV.lists(parameters.get("at"), 2)[0] || [0, 0]);
    showPins();
    showLine();
    plot.redraw();
  }

  function buttons() {
    for (const button of el("layers").children) button.setAttribute("aria-pressed", String(layers.has(button.dataset.layer)));
    for (const button of el("legend").children) button.setAttribute("aria-pressed", String(!plot.hidden.has(Number(button.dataset.digit))));
    el("tool-line").setAttribute("aria-pressed", String(tool === "line"));
    el("tool-move").setAttribute("aria-pressed", String(tool === "move"));
    plot.root.classList.toggle("moving", tool === "move");
  }

  function describe() {
    const a = DV.about;
    let text = DV.counted(known.places.length / 2) + " of " + a.digits + (a.seen ? ", seen in training" : "") + ", each at the mean of its posterior. ";
    if (a.byDigit) text = DV.counted(known.places.length / 2) + " of " + a.digits + (a.seen ? ", seen in training" : "") + ", each at its style. ";
    if (a.principal) text += "Of " + a.latent + " latent dimensions this is the plane of the codes' two principal components. ";
    if (known.edge && !known.edge.values) text += "They are too few to tell where the data ends. ";
    else if (known.edge && layers.has("edge")) text += "The dashed line is where the data ends: beyond it, the tenth nearest point is farther than for 99 % of the points. ";
    if (layers.clustered()) text += "Clusters: a mixture of ten Gaussians, found without labels, named by the digit that most of their points are. ";
    if (DV.about.difference) text += DV.about.difference;
    el("map-text").textContent = text;
  }

  function drawOver(pen) {
    const ink = DV.colour("ink"), way = drag && drag.line ? [drag.line, at] : line;
    if (way) {
      const from = [0, 1].map(function (i) { return way[0][i] - beyond * (way[1][i] - way[0][i]); });
      const to = [0, 1].map(function (i) { return way[1][i] + beyond * (way[1][i] - way[0][i]); });
      pen.strokeStyle = ink; pen.lineWidth = 1.5;
      pen.setLineDash([3, 4]); plot.lines(pen, [[...from, ...to]]); pen.setLineDash([]);
      pen.lineWidth = 2.5; plot.lines(pen, [[...way[0], ...way[1]]]);
      pen.fillStyle = ink;
      for (const end of way) { pen.beginPath(); pen.arc(plot.x(end[0]), plot.y(end[1]), 4.5, 0, 6.2832); pen.fill(); }
    }
    pins.forEach(function (p) {
      pen.fillStyle = DV.colour("pen"); pen.strokeStyle = DV.colour("paper"); pen.lineWidth = 2;
      pen.beginPath(); pen.arc(plot.x(p.place[0]), plot.y(p.place[1]), 6, 0, 6.2832); pen.fill(); pen.stroke();
    });
    if (at) {
      const x = plot.x(at[0]), y = plot.y(at[1]);
      for (const [colour, wide] of [[DV.colour("paper"), 5], [DV.colour("pen"), 2]]) {
        pen.strokeStyle = colour; pen.lineWidth = wide;
        pen.beginPath(); pen.arc(x, y, 9, 0, 6.2832);
        for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) { pen.moveTo(x + 9 * dx, y + 9 * dy); pen.lineTo(x + 16 * dx, y + 16 * dy); }
        pen.stroke();
      }
    }
  }

  async function begin() {
    begun = true;
    plot = new DV.Plot(el("map-plot"));
    plot.home = known.home;
    layers = DV.mapLayers({ plot, drawn, digit: function () { return digit; }, described: describe });
    plot.draw = layers.draw;
    plot.drawOver = drawOver;
    plot.resized();
    DV.mapActions({ plot, probe, pin, seen, beginLine: function (place) { drag = { line: DV.rounded(place) }; },
      endLine: function (place) {
        if (place) line = [drag.line, DV.rounded(place)];
        drag = null;
        if (place) showLine(); else plot.redrawOver();
      },
      at: function () { return at; }, tool: function () { return tool; }, dropLine: function () { line = null; showLine(); },
      join: function () { if (pins.length) { line = [pins[pins.length - 1].place, at]; showLine(); } } });
    if (DV.about.byDigit) {
      el("as-digit").hidden = false;
      for (let d = 0; d < 10; d++) el("as").append(DV.make("option", { value: d }, String(d)));
      el("as").addEventListener("change", function () { drawAs(Number(el("as").value)); probe(at); });
    }
    if (DV.about.labels) for (let d = 0; d < 10; d++) {
      el("legend").append(DV.make("button", { type: "button", "data-digit": d, "aria-pressed": "true", "aria-label": "Digit " + d, onclick: function () {
        if (!plot.hidden.delete(d)) plot.hidden.add(d);
        buttons(); keep(); plot.redraw();
      } }, DV.make("i"), String(d)));
    }
    const dye = function () { for (const button of el("legend").children) button.firstChild.style.background = DV.palette()[Number(button.dataset.digit)]; };
    dye();
    document.addEventListener("theme", dye);
    for (const button of el("layers").children) button.addEventListener("click", function () {
      layers.toggle(button.dataset.layer);
      buttons(); describe(); keep();
    });
    for (const name of ["line", "move"]) el("tool-" + name).addEventListener("click", function () { tool = name; buttons(); keep(); });
    el("pin").addEventListener("click", function () { pin(at); });
    el("line-drop").addEventListener("click", function () { line = null; showLine(); });
    el("beyond").addEventListener("input", function () { beyond = Number(el("beyond").value); showLine(); });
    document.addEventListener("theme", layers.stale);
    DV.again.show("map-again", DV.again.map());
    try {
      known.listeners.push(function () { describe(); plot.redraw(); });
      await known.load();
      plot.home = known.home;
      look();
      layers.prepare();
      describe();
      probe(at);
      if (line) showLine();
      plot.redraw();
    } catch (error) { DV.fail(error); }
  }

  function show(parameters) {
    if (!DV.about.map) {
      el("map-notice").textContent = DV.about.whyNoMap;
      el("map-notice").hidden = false;
      el("map-body").hidden = true;
      return;
    }
    if (!begun) begin();
    restore(parameters);
  }
  return { show, find, stats, plot: function () { return plot; } };
})();

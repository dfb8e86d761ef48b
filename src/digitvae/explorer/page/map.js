"use strict";
/* The map: a probe that draws what is under it, pins, a line of digits, and layers over the points. */
DV.views.map = (function () {
  const STEPS = 11, LAYERS = ["points", "digits", "density", "clusters", "edge"];
  const el = DV.el;
  const known = DV.points;
  let plot, clusters = null, density = null, names = [];
  let at = null, pins = [], line = null, drag = null, beyond = 0, digit = 0, tool = "line", backdrop = null;
  let layers = new Set(["points", "edge"]);
  let begun = false;
  const stats = { trips: [] };

  /* One question at a time; of those that wait the latest wins. */
  const asker = { busy: false, next: null };
  function ask(place) {
    asker.next = place;
    if (asker.busy) return;
    asker.busy = true;
    const asked = asker.next, began = performance.now();
    asker.next = null;
    DV.source.decode(asked, digit).then(function (grey) {
      const took = performance.now() - began;
      if (stats.trips.push(took) > 200) stats.trips.shift();
      DV.paint(el("probe"), grey);
      el("probe-time").textContent = took.toFixed(took < 10 ? 1 : 0) + " ms";
    }, DV.fail).finally(function () {
      asker.busy = false;
      if (asker.next) ask(asker.next);
    });
  }

  function inside(place) {
    if (!known.edge || !known.edge.values) return null;
    const far = Math.max(Math.abs(place[0]), Math.abs(place[1])) >= known.edge.reach;
    return !far && DV.surface.at(known.edge, place[0], place[1]) <= known.edge.level;
  }
  function drawn(place) { return Math.max(Math.abs(place[0]), Math.abs(place[1])) <= DV.source.reach; }
  function where(place) { return DV.shown(place[0], 2) + ", " + DV.shown(place[1], 2); }
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
    } catch (error) { DV.fail(error); }
  });

  function probe(place) {
    at = DV.rounded(place);
    el("probe-place").textContent = where(at);
    const data = inside(at);
    el("probe-data").textContent = !drawn(at) ? "outside, and not exported: this is the nearest digit that is" :
      data === null ? "–" : data ? "inside" : "outside: the model goes on by itself";
    el("probe-data").classList.toggle("out", data === false);
    ask(at);
    plot.redrawOver();
    settle();
  }

  async function pin(place) {
    const found = { place: DV.rounded(place), digit };
    if (pins.some(function (p) { return String(p.place) === String(found.place); })) return;
    pins.push(found);
    if (pins.length > 24) pins.shift();
    showPins();
    keep();
  }
  async function showPins() {
    el("pins-part").hidden = !pins.length;
    plot.redrawOver();
    const shown = pins.slice();
    if (!shown.length) { el("pins").replaceChildren(); return; }
    try {
      const grey = await DV.source.decode(shown.flatMap(function (p) { return p.place; }), digit);
      if (String(shown.map(function (p) { return p.place; })) !== String(pins.map(function (p) { return p.place; }))) return;
      el("pins").replaceChildren(...shown.map(function (p, n) {
        const go = DV.make("button", { type: "button", class: "pin", "aria-label": "Probe at " + where(p.place), onclick: function () { probe(p.place); } },
          DV.digit(grey, n, "Pinned digit"));
        const drop = DV.make("button", { type: "button", class: "drop", "aria-label": "Remove the pin at " + where(p.place), onclick: function () {
          pins.splice(pins.indexOf(p), 1);
          showPins();
          keep();
        } }, "×");
        return DV.make("li", {}, go, drop, DV.make("span", {}, where(p.place)));
      }));
    } catch (error) { DV.fail(error); }
  }

  function along(share) { return [0, 1].map(function (i) { return line[0][i] + share * (line[1][i] - line[0][i]); }); }
  const showLine = DV.later(30, async function () {
    el("line").hidden = !line;
    plot.redrawOver();
    keep();
    if (!line) return;
    const shares = Array.from({ length: STEPS }, function (_, n) { return -beyond + n * (1 + 2 * beyond) / (STEPS - 1); });
    const way = shares.map(along), asked = line;
    el("beyond").value = beyond;
    el("beyond-out").textContent = DV.share(beyond);
    try {
      const grey = await DV.source.decode(way.flat(), digit);
      if (asked !== line) return;
      const out = way.filter(function (place) { return inside(place) === false; }).length;
      const missing = way.filter(function (place) { return !drawn(place); }).length;
      el("strip").replaceChildren(...way.map(function (place, n) {
        const outside = inside(place) === false;
        const button = DV.make("button", { type: "button", "aria-label": "Probe at " + DV.share(shares[n]) + " of the way" + (outside ? ", outside the data" : ""),
          onclick: function () { probe(place); } }, DV.digit(grey, n, "Digit on the way"));
        return DV.make("li", { class: outside ? "outside" : null }, button, DV.make("span", {}, DV.share(shares[n])));
      }));
      el("line-text").textContent = "From " + where(line[0]) + " to " + where(line[1]) + ". " +
        (missing ? missing + " of " + STEPS + " digits lie beyond what was exported: the nearest that was is shown. " : "") +
        (known.edge && known.edge.values ? (out ? out + " of " + STEPS + " digits lie outside the data, framed in red: there the model has seen nothing." : "All of it lies inside the data.") : "");
      DV.again.show("line-again", DV.again.line(coded(line[0]), coded(line[1]), STEPS, beyond, digit));
    } catch (error) { DV.fail(error); }
  });

  function keep() {
    const pair = function (place) { return place.map(function (v) { return DV.plain(v); }).join(","); };
    DV.keep("map", {
      at: at && pair(at),
      pins: pins.map(function (p) { return pair(p.place); }).join(";"),
      line: line && line.map(pair).join(";"),
      beyond: line && beyond ? DV.plain(beyond, 2) : null,
      view: plot.reach === plot.home && !plot.middle[0] && !plot.middle[1] ? null : pair(plot.middle) + "," + DV.plain(plot.reach),
      layers: [...layers].sort().join(",") === "edge,points" ? null : LAYERS.filter(function (l) { return layers.has(l); }).join(",") || "none",
      hide: [...plot.hidden].join(","),
      as: digit || null,
      move: tool === "move" ? 1 : null,
    });
  }
  const keepSoon = DV.later(250, keep);

  function restore(parameters) {
    digit = DV.number(parameters, "as", 0, 0, 9);
    el("as").value = digit;
    pins = DV.pairs(parameters.get("pins")).map(function (place) { return { place }; });
    const ends = DV.pairs(parameters.get("line"));
    line = ends.length === 2 ? ends : null;
    beyond = DV.number(parameters, "beyond", 0, 0, 2);
    tool = parameters.has("move") ? "move" : "line";
    const view = (parameters.get("view") || "").split(",").map(Number);
    if (view.length === 3 && view.every(Number.isFinite) && view[2] > 0) {
      plot.middle = view.slice(0, 2);
      plot.reach = view[2];
    } else plot.all();
    const asked = parameters.get("layers");
    layers = new Set(asked === null ? ["points", "edge"] : asked.split(",").filter(function (l) { return LAYERS.includes(l); }));
    plot.hidden = new Set((parameters.get("hide") || "").split(",").filter(Boolean).map(Number));
    buttons();
    backdrop = null;
    if (layers.has("clusters")) loadClusters();
    probe(DV.pairs(parameters.get("at"))[0] || [0, 0]);
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

  async function loadClusters() {
    if (clusters) return;
    try { clusters = await DV.source.clusters(); plot.redraw(); describe(); } catch (error) { DV.fail(error); }
  }
  function describe() {
    const a = DV.about;
    let text = DV.counted(known.places.length / 2) + " of " + a.digits + (a.seen ? ", seen in training" : "") + ", each at the mean of its posterior. ";
    if (a.byDigit) text = DV.counted(known.places.length / 2) + " of " + a.digits + (a.seen ? ", seen in training" : "") + ", each at its style. ";
    if (a.principal) text += "Of " + a.latent + " latent dimensions this is the plane of the codes' two principal components. ";
    if (known.edge && !known.edge.values) text += "They are too few to tell where the data ends. ";
    else if (known.edge && layers.has("edge")) text += "The dashed line is where the data ends: beyond it, the tenth nearest point is farther than for 99 % of the points. ";
    if (layers.has("clusters") && clusters) text += "Clusters: a mixture of ten Gaussians, found without labels, named by the digit that most of their points are. ";
    if (DV.about.difference) text += DV.about.difference;
    el("map-text").textContent = text;
  }

  /* Decoded digits under the points, on a grid that follows what can be seen. */
  const loadBackdrop = DV.later(180, async function () {
    if (!layers.has("digits") || !plot.width) return;
    const cell = Math.max(36, Math.sqrt(plot.width * plot.height / 560)), columns = Math.ceil(plot.width / cell), rows = Math.ceil(plot.height / cell);
    const key = [plot.middle, plot.reach, plot.width, plot.height, digit, document.documentElement.dataset.theme].join();
    if (backdrop && backdrop.key === key) return;
    const asked = [], at = [];
    for (let j = 0; j < rows; j++) for (let i = 0; i < columns; i++) {
      const place = plot.place((i + 0.5) * cell, (j + 0.5) * cell);
      if (drawn(place)) { asked.push(...place); at.push([i * cell, j * cell]); }
    }
    if (!at.length) { backdrop = null; return; }
    try {
      const grey = await DV.source.decode(asked, digit);
      const small = await Promise.all(at.map(function (_, n) { return createImageBitmap(DV.picture(grey, 784 * n, 28, 28)); }));
      backdrop = { key, small, places: at.map(function ([x, y]) { return plot.place(x, y); }), size: cell / plot.scale };
      plot.redraw();
    } catch (error) { DV.fail(error); }
  });

  function draw(pen) {
    if (layers.has("digits")) {
      if (backdrop) {
        pen.globalAlpha = 0.75;
        backdrop.small.forEach(function (image, n) {
          pen.drawImage(image, plot.x(backdrop.places[n][0]), plot.y(backdrop.places[n][1]), backdrop.size * plot.scale, backdrop.size * plot.scale);
        });
        pen.globalAlpha = 1;
      }
      loadBackdrop();
    }
    plot.axes(pen);
    if (layers.has("density") && density) drawDensity(pen);
    if (layers.has("points")) plot.points(pen, known.places, known.order, layers.has("digits") || layers.has("density"));
    if (layers.has("edge") && known.edge) {
      pen.strokeStyle = DV.colour("red"); pen.lineWidth = 1.5; pen.setLineDash([5, 4]);
      plot.lines(pen, known.edge.lines);
      pen.setLineDash([]);
    }
    if (layers.has("clusters") && clusters) drawClusters(pen);
    else if (layers.has("points")) names.forEach(function (place, n) {
      if (!place || plot.hidden.has(n)) return;
      pen.fillStyle = DV.palette()[n];
      plot.label(pen, String(n), plot.x(place[0]), plot.y(place[1]), 20);
    });
  }
  function drawDensity(pen) {
    pen.strokeStyle = DV.colour("pen");
    density.lines.forEach(function (lines, n) {
      pen.globalAlpha = 0.35 + 0.13 * n; pen.lineWidth = 1 + 0.25 * n;
      plot.lines(pen, lines);
    });
    pen.globalAlpha = DV.dark() ? 0.5 : 0.35;
    pen.imageSmoothingEnabled = true;
    pen.drawImage(density.image(), plot.x(-density.reach), plot.y(density.reach), 2 * density.reach * plot.scale, 2 * density.reach * plot.scale);
    pen.globalAlpha = 1;
  }
  function drawClusters(pen) {
    for (const cluster of clusters) {
      pen.strokeStyle = DV.colour("ink"); pen.lineWidth = 2;
      plot.ellipse(pen, cluster.middle, cluster.covariance, 2);
      pen.fillStyle = DV.colour("ink");
      const text = cluster.digit === null ? DV.counted(cluster.count) : cluster.digit + " · " + DV.percent(cluster.share);
      plot.label(pen, text, plot.x(cluster.middle[0]), plot.y(cluster.middle[1]), 14);
    }
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

  function prepare() {
    names = DV.about.labels ? known.order.map(function (rows) {
      const some = new Float32Array(rows.flatMap(function (n) { return [known.places[2 * n], known.places[2 * n + 1]]; }));
      return rows.length > 4 ? DV.surface.top(DV.surface.density(some, rows.length, plot.home * 1.2)) : null;
    }) : [];
    const grid = DV.surface.density(known.places, known.places.length / 2, plot.home * 1.5);
    const levels = [0.05, 0.15, 0.3, 0.5, 0.75];
    const images = {};
    density = { reach: grid.reach, lines: levels.map(function (level) { return DV.surface.contour(grid, level); }), image: function () {
      const theme = document.documentElement.dataset.theme;
      if (!images[theme]) {
        const canvas = DV.make("canvas", { width: grid.steps, height: grid.steps }), pen = canvas.getContext("2d");
        const [r, g, b] = DV.rgb("pen"), made = pen.createImageData(grid.steps, grid.steps);
        for (let j = 0; j < grid.steps; j++) for (let i = 0; i < grid.steps; i++) {
          const k = 4 * ((grid.steps - 1 - j) * grid.steps + i);
          made.data.set([r, g, b, 255 * Math.sqrt(grid.values[j * grid.steps + i])], k);
        }
        pen.putImageData(made, 0, 0);
        images[theme] = canvas;
      }
      return images[theme];
    } };
  }

  async function begin() {
    begun = true;
    plot = new DV.Plot(el("map-plot"));
    plot.draw = draw;
    plot.drawOver = drawOver;
    plot.resized();
    DV.mapActions({ plot, probe, pin, beginLine: function (place) { drag = { line: DV.rounded(place) }; }, keepSoon,
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
      el("as").addEventListener("change", function () { digit = Number(el("as").value); backdrop = null; probe(at); showPins(); showLine(); plot.redraw(); });
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
      const layer = button.dataset.layer;
      if (!layers.delete(layer)) layers.add(layer);
      if (layer === "clusters") loadClusters();
      buttons(); describe(); keep(); plot.redraw();
    });
    for (const name of ["line", "move"]) el("tool-" + name).addEventListener("click", function () { tool = name; buttons(); keep(); });
    el("pin").addEventListener("click", function () { pin(at); });
    el("line-drop").addEventListener("click", function () { line = null; showLine(); });
    el("beyond").addEventListener("input", function () { beyond = Number(el("beyond").value); showLine(); });
    document.addEventListener("theme", function () { backdrop = null; });
    DV.again.show("map-again", DV.again.map());
    try {
      known.listeners.push(function () { describe(); plot.redraw(); });
      await known.load();
      plot.home = known.home;
      if (!kept().has("view")) plot.all();
      prepare();
      describe();
      probe(at);
      if (line) showLine();
      plot.redraw();
    } catch (error) { DV.fail(error); }
  }
  function kept() { return new URLSearchParams(location.hash.split("?")[1] || ""); }

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
  return { show, stats, plot: function () { return plot; } };
})();

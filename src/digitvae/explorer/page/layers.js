"use strict";
/* What lies under and over the points of the map: decoded digits, density, clusters, the edge of the data, names. */
DV.mapLayers = function (map) {
  const NAMES = ["points", "digits", "density", "clusters", "edge"], USUAL = "points,edge";
  const { plot } = map, known = DV.points;
  let on = new Set(), clusters = null, density = null, names = [], backdrop = null;

  /* As the address has them; none where it says nothing of them. */
  function text() {
    const found = NAMES.filter(function (name) { return on.has(name); }).join(",");
    return found === USUAL ? null : found || "none";
  }
  function choose(asked) {
    on = new Set((asked === null ? USUAL : asked).split(",").filter(function (name) { return NAMES.includes(name); }));
    if (on.has("clusters")) loadClusters();
  }
  function toggle(name) {
    if (!on.delete(name)) on.add(name);
    if (on.has("clusters")) loadClusters();
    plot.redraw();
  }
  async function loadClusters() {
    if (clusters) return;
    try { clusters = await DV.source.clusters(); plot.redraw(); map.described(); } catch (error) { DV.fail(error); }
  }

  /* Decoded digits under the points, on a grid that follows what can be seen. */
  const loadBackdrop = DV.later(180, async function () {
    if (!on.has("digits") || !plot.width) return;
    const cell = Math.max(36, Math.sqrt(plot.width * plot.height / 560)), columns = Math.ceil(plot.width / cell), rows = Math.ceil(plot.height / cell);
    const key = [plot.middle, plot.reach, plot.width, plot.height, map.digit(), document.documentElement.dataset.theme].join();
    if (backdrop && backdrop.key === key) return;
    const asked = [], at = [];
    for (let j = 0; j < rows; j++) for (let i = 0; i < columns; i++) {
      const place = plot.place((i + 0.5) * cell, (j + 0.5) * cell);
      if (map.drawn(place)) { asked.push(...place); at.push([i * cell, j * cell]); }
    }
    if (!at.length) { backdrop = null; return; }
    try {
      const grey = await DV.source.decode(asked, map.digit());
      const small = await Promise.all(at.map(function (_, n) { return createImageBitmap(DV.picture(grey, 784 * n, 28, 28)); }));
      backdrop = { key, small, places: at.map(function ([x, y]) { return plot.place(x, y); }), size: cell / plot.scale };
      plot.redraw();
    } catch (error) { DV.fail(error); }
  });

  function draw(pen) {
    if (on.has("digits")) {
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
    if (on.has("density") && density) drawDensity(pen);
    if (on.has("points")) plot.points(pen, known.places, known.order, on.has("digits") || on.has("density"));
    if (on.has("edge") && known.edge) {
      pen.strokeStyle = DV.colour("red"); pen.lineWidth = 1.5; pen.setLineDash([5, 4]);
      plot.lines(pen, known.edge.lines);
      pen.setLineDash([]);
    }
    if (on.has("clusters") && clusters) drawClusters(pen);
    else if (on.has("points")) names.forEach(function (place, n) {
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

  /* Once all points are there. */
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

  return {
    text, choose, toggle, draw, prepare,
    has: function (name) { return on.has(name); },
    clustered: function () { return on.has("clusters") && clusters !== null; },
    stale: function () { backdrop = null; },
  };
};

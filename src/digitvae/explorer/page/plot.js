"use strict";
/* A plane with points: what can be seen of it, zooming and moving, and how points, edges and ellipses are drawn. */
DV.Plot = class {
  constructor(root) {
    this.root = root;
    this.base = root.querySelector(".base");
    this.over = root.querySelector(".over");
    this.middle = [0, 0];
    this.reach = 4;
    this.home = 4;
    this.hidden = new Set();
    this.draw = function () {};
    this.drawOver = function () {};
    this.waiting = false;
    this.frames = [];
    new ResizeObserver(() => this.resized()).observe(root);
    document.addEventListener("theme", () => this.redraw());
  }

  resized() {
    const ratio = Math.min(2, devicePixelRatio || 1);
    this.width = this.root.clientWidth;
    this.height = this.root.clientHeight;
    if (!this.width || !this.height) return;
    for (const canvas of [this.base, this.over]) {
      if (!canvas) continue;
      canvas.width = Math.round(this.width * ratio);
      canvas.height = Math.round(this.height * ratio);
      canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
    }
    this.redraw();
  }

  /* Pixels for a unit of the plane: `reach` is what the shorter side shows on either side of the middle. */
  get scale() { return Math.min(this.width, this.height) / 2 / this.reach; }
  x(value) { return this.width / 2 + (value - this.middle[0]) * this.scale; }
  y(value) { return this.height / 2 - (value - this.middle[1]) * this.scale; }
  place(x, y) {
    return [this.middle[0] + (x - this.width / 2) / this.scale, this.middle[1] - (y - this.height / 2) / this.scale];
  }
  /* No farther out and no nearer than zooming goes, and never away from the points for good: what an address asks for
     may be anything. */
  within(reach) { return Math.min(8 * this.home, Math.max(this.home / 200, reach)); }
  look(x, y, reach) {
    this.middle = [x, y].map((value) => Math.min(8 * this.home, Math.max(-8 * this.home, value)));
    this.reach = this.within(reach);
    this.redraw();
  }
  zoom(factor, x, y) {
    const [a, b] = this.place(x, y), reach = this.within(this.reach / factor), share = reach / this.reach;
    this.look(a + (this.middle[0] - a) * share, b + (this.middle[1] - b) * share, reach);
  }
  move(x, y) { this.look(this.middle[0] - x / this.scale, this.middle[1] + y / this.scale, this.reach); }
  all() { this.look(0, 0, this.home); }
  /* Decimals in which a place is shown: as many as its pixel has. */
  get decimals() { return Math.max(2, Math.floor(Math.log10(this.scale))); }

  redraw() {
    if (this.waiting || !this.width) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      const began = performance.now();
      const pen = this.base.getContext("2d");
      pen.clearRect(0, 0, this.width, this.height);
      this.draw(pen);
      if (this.frames.push(performance.now() - began) > 240) this.frames.shift();
      this.redrawOver();
    });
  }
  redrawOver() {
    if (!this.over || !this.width) return;
    const pen = this.over.getContext("2d");
    pen.clearRect(0, 0, this.width, this.height);
    this.drawOver(pen);
  }

  axes(pen) {
    const least = 56 / this.scale, ten = 10 ** Math.floor(Math.log10(least));  // lines lie so many pixels apart
    const step = ten * [1, 2, 5, 10].find((n) => n * ten >= least);
    const named = (v) => Math.abs(v) < step / 2 ? "0" : DV.shown(v, Math.max(0, Math.ceil(-Math.log10(step) - 1e-9)));
    const [left, top] = this.place(0, 0), [right, bottom] = this.place(this.width, this.height);
    pen.lineWidth = 1;
    pen.font = "11px " + DV.colour("sans");
    pen.fillStyle = DV.colour("soft");
    for (let v = Math.ceil(left / step) * step; v <= right; v += step) {
      pen.strokeStyle = Math.abs(v) < step / 2 ? DV.colour("line") : DV.colour("rule");
      pen.beginPath(); pen.moveTo(this.x(v), 0); pen.lineTo(this.x(v), this.height); pen.stroke();
      pen.textAlign = "center";
      if (this.x(v) > 24) pen.fillText(named(v), this.x(v), 14);
    }
    for (let v = Math.ceil(bottom / step) * step; v <= top; v += step) {
      pen.strokeStyle = Math.abs(v) < step / 2 ? DV.colour("line") : DV.colour("rule");
      pen.beginPath(); pen.moveTo(0, this.y(v)); pen.lineTo(this.width, this.y(v)); pen.stroke();
      pen.textAlign = "left";
      if (this.y(v) > 24) pen.fillText(named(v), 6, this.y(v) - 3);
    }
  }

  /* Points by digit; `order` lists the points of each colour, so that a colour is set ten times and not thousands. */
  points(pen, places, order, faint) {
    const colours = DV.palette(), round = this.reach < this.home / 4 || places.length < 4000;
    const size = Math.min(9, Math.max(2, (places.length > 8000 ? 2.4 : 3.8) * Math.sqrt(this.home / this.reach)));
    const { scale, width, height } = this, half = size / 2;
    const left = width / 2 - this.middle[0] * scale, top = height / 2 + this.middle[1] * scale;
    pen.globalAlpha = faint ? 0.55 : 0.8;
    order.forEach((rows, digit) => {
      if (this.hidden.has(digit)) return;
      pen.fillStyle = order.length > 1 ? colours[digit] : DV.colour("pen");
      for (const n of rows) {
        const x = left + places[2 * n] * scale, y = top - places[2 * n + 1] * scale;
        if (x < -9 || y < -9 || x > width + 9 || y > height + 9) continue;
        if (round) {
          pen.beginPath(); pen.arc(x, y, half, 0, 6.2832); pen.fill();
        } else pen.fillRect(x - half, y - half, size, size);
      }
    });
    pen.globalAlpha = 1;
  }

  /* Ways through the plane, each a list x, y, x, y, ... */
  lines(pen, ways) {
    pen.beginPath();
    for (const way of ways) {
      for (let n = 0; n < way.length; n += 2) {
        if (n) pen.lineTo(this.x(way[n]), this.y(way[n + 1])); else pen.moveTo(this.x(way[0]), this.y(way[1]));
      }
    }
    pen.stroke();
  }

  ellipse(pen, place, covariance, times) {
    const { long, short, angle } = DV.surface.ellipse(covariance);
    pen.beginPath();
    pen.ellipse(this.x(place[0]), this.y(place[1]), times * long * this.scale, times * short * this.scale, -angle, 0, 6.2832);
    pen.stroke();
  }

  /* Text that can be read on anything: a rim in the colour of the paper around it. */
  label(pen, text, x, y, size) {
    pen.font = "700 " + size + "px " + DV.colour("sans");
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.lineJoin = "round";
    pen.strokeStyle = DV.colour("paper");
    pen.lineWidth = size / 3.5;
    pen.strokeText(text, x, y);
    pen.fillText(text, x, y);
    pen.textBaseline = "alphabetic";
  }
};

/* The points, once for all views: they come by and by, then where the data ends. */
DV.points = {
  places: new Float32Array(0), order: [[]], edge: null, home: 4, listeners: [], loading: null,
  load: function () {
    DV.points.loading = DV.points.loading || (async function () {
      const known = DV.points;
      await DV.source.points(function (some) {
        known.places = some;
        known.order = DV.byDigit(DV.about.labels, some.length / 2);
        for (const listener of known.listeners) listener();
      });
      const found = await DV.source.edge();
      known.edge = { reach: found.reach, steps: found.steps, level: found.edge, plane: found.plane, values: found.distance && DV.bytes(found.distance) };
      known.edge.lines = known.edge.values ? DV.surface.contour(known.edge, known.edge.level) : [];
      known.home = found.extent * 1.08;
      for (const listener of known.listeners) listener();
    })();
    return DV.points.loading;
  },
};

/* Which points have each digit; one list of all where there are no labels. */
DV.byDigit = function (labels, count) {
  const order = labels ? Array.from({ length: 10 }, function () { return []; }) : [[]];
  for (let n = 0; n < count; n++) order[labels ? labels[n] : 0].push(n);
  return order;
};

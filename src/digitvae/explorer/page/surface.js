"use strict";
/* Numbers on a square grid: rows go up, columns to the right, from -reach to reach. */
DV.surface = (function () {
  /* The value at a place, bilinear; outside the grid that of its rim. */
  function at(grid, x, y) {
    const last = grid.steps - 1;
    const u = Math.min(last, Math.max(0, (x / grid.reach + 1) / 2 * last));
    const v = Math.min(last, Math.max(0, (y / grid.reach + 1) / 2 * last));
    const i = Math.min(last - 1, Math.floor(u)), j = Math.min(last - 1, Math.floor(v));
    const a = u - i, b = v - j, place = j * grid.steps + i, g = grid.values;
    return (1 - b) * ((1 - a) * g[place] + a * g[place + 1]) +
      b * ((1 - a) * g[place + grid.steps] + a * g[place + grid.steps + 1]);
  }

  /* The ways along which the grid has a value (marching squares), each x, y, x, y, ... in the grid's units. */
  function contour(grid, level) {
    const { steps, reach, values } = grid, ends = new Map();
    const place = function (i) { return (2 * i / (steps - 1) - 1) * reach; };
    const share = function (a, b) { return (level - a) / (b - a); };
    for (let j = 0; j < steps - 1; j++) {
      for (let i = 0; i < steps - 1; i++) {
        const k = j * steps + i;
        const a = values[k], b = values[k + 1], c = values[k + steps + 1], d = values[k + steps];
        // Crossings of the cell's sides; each is named by its side, which it shares with the next cell.
        const found = [];
        if ((a < level) !== (b < level)) found.push([2 * k, place(i + share(a, b)), place(j)]);
        if ((b < level) !== (c < level)) found.push([2 * (k + 1) + 1, place(i + 1), place(j + share(b, c))]);
        if ((d < level) !== (c < level)) found.push([2 * (k + steps), place(i + share(d, c)), place(j + 1)]);
        if ((a < level) !== (d < level)) found.push([2 * k + 1, place(i), place(j + share(a, d))]);
        for (let n = 0; n + 1 < found.length; n += 2) {
          for (const [from, to] of [[found[n], found[n + 1]], [found[n + 1], found[n]]]) {
            if (!ends.has(from[0])) ends.set(from[0], { x: from[1], y: from[2], next: [], seen: false });
            ends.get(from[0]).next.push(to[0]);
          }
        }
      }
    }
    const ways = [];
    const follow = function (end) {
      const way = [];
      while (end && !end.seen) {
        end.seen = true;
        way.push(end.x, end.y);
        const [first, second] = end.next.map(function (name) { return ends.get(name); });
        const last = !first.seen ? first : second && !second.seen ? second : null;
        if (!last && way.length > 4 && end.next.length === 2) way.push(way[0], way[1]);
        end = last;
      }
      ways.push(way);
    };
    for (const end of ends.values()) if (!end.seen && end.next.length === 1) follow(end);
    for (const end of ends.values()) if (!end.seen) follow(end);
    return ways;
  }

  /* How dense points are: a histogram, blurred with a Gaussian of `width` cells; the largest value is 1. */
  function density(places, count, reach, keep) {
    const steps = 128, width = 2;
    let values = new Float32Array(steps * steps);
    for (let n = 0; n < count; n++) {
      if (keep && !keep(n)) continue;
      const i = Math.round((places[2 * n] / reach + 1) / 2 * (steps - 1));
      const j = Math.round((places[2 * n + 1] / reach + 1) / 2 * (steps - 1));
      if (i >= 0 && j >= 0 && i < steps && j < steps) values[j * steps + i] += 1;
    }
    const kernel = [];
    for (let k = -3 * width; k <= 3 * width; k++) kernel.push(Math.exp(-k * k / (2 * width * width)));
    for (const stride of [1, steps]) {
      const blurred = new Float32Array(values.length);
      for (let n = 0; n < values.length; n++) {
        if (!values[n]) continue;
        const along = stride === 1 ? n % steps : Math.floor(n / steps);
        for (let k = 0; k < kernel.length; k++) {
          const to = along + k - 3 * width;
          if (to >= 0 && to < steps) blurred[n + (k - 3 * width) * stride] += values[n] * kernel[k];
        }
      }
      values = blurred;
    }
    let most = 0;
    for (const value of values) most = Math.max(most, value);
    for (let n = 0; n < values.length; n++) values[n] /= most || 1;
    return { steps, reach, values };
  }

  /* The place where a grid has its largest value. */
  function top(grid) {
    let best = 0;
    for (let n = 1; n < grid.values.length; n++) if (grid.values[n] > grid.values[best]) best = n;
    const place = function (i) { return (2 * i / (grid.steps - 1) - 1) * grid.reach; };
    return [place(best % grid.steps), place(Math.floor(best / grid.steps))];
  }

  /* The two half axes of a covariance: lengths (standard deviations) and the angle of the first. */
  function ellipse(covariance) {
    const [[a, b], [, c]] = covariance;
    const middle = (a + c) / 2, spread = Math.hypot((a - c) / 2, b);
    return { long: Math.sqrt(middle + spread), short: Math.sqrt(Math.max(0, middle - spread)), angle: Math.atan2(2 * b, a - c) / 2 };
  }

  return { at, contour, density, top, ellipse };
})();

"use strict";
/* Mouse, finger, pen and keyboard on the map. */
DV.mapActions = function (map) {
  const { plot } = map, over = plot.over;
  const down = new Map();
  let start = null, pinch = null, moving = false;

  function spot(event) {
    const box = over.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }
  function two() {
    const [a, b] = [...down.values()];
    return { x: (a[0] + b[0]) / 2, y: (a[1] + b[1]) / 2, apart: Math.max(1, Math.hypot(a[0] - b[0], a[1] - b[1])) };
  }
  over.addEventListener("pointerdown", function (event) {
    if (event.button > 1) return;
    over.focus({ preventScroll: true });
    over.setPointerCapture(event.pointerId);
    down.set(event.pointerId, spot(event));
    if (down.size > 1) {
      if (start && start.dragged && !moving) map.endLine(null);
      start = null;
      pinch = two();
      return;
    }
    moving = map.tool() === "move" || event.button === 1;
    start = { at: spot(event), place: plot.place(...spot(event)), dragged: false };
    if (!moving) map.probe(start.place);
  });
  over.addEventListener("pointermove", function (event) {
    const [x, y] = spot(event), before = down.get(event.pointerId);
    if (before) down.set(event.pointerId, [x, y]);
    if (down.size >= 2 && pinch) {
      const now = two();
      plot.move(now.x - pinch.x, now.y - pinch.y);
      plot.zoom(now.apart / pinch.apart, now.x, now.y);
      pinch = now;
      map.seen();
      return;
    }
    if (start && before) {
      const far = Math.hypot(x - start.at[0], y - start.at[1]) > 6;
      if (moving) {
        plot.move(x - before[0], y - before[1]);
        start.dragged = start.dragged || far;
        map.seen();
        return;
      }
      if (far && !start.dragged) {
        start.dragged = true;
        map.beginLine(start.place);
      }
    }
    if (!before && event.pointerType === "touch") return;
    map.probe(plot.place(x, y), event.timeStamp);
  });
  function up(event) {
    const was = down.delete(event.pointerId);
    pinch = down.size > 1 ? two() : null;
    if (!was || !start || down.size) return;
    const place = plot.place(...spot(event));
    if (event.type === "pointercancel") {
      if (start.dragged && !moving) map.endLine(null);
    } else if (start.dragged && !moving) map.endLine(place);
    else if (!start.dragged) {
      map.probe(start.place);
      map.pin(start.place);
    }
    start = null;
  }
  over.addEventListener("pointerup", up);
  over.addEventListener("pointercancel", up);
  over.addEventListener("wheel", function (event) {
    event.preventDefault();
    const [x, y] = spot(event);
    plot.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), x, y);
    map.seen();
  }, { passive: false });

  function zoom(how) {
    if (how === "all") plot.all(); else plot.zoom(how === "in" ? 1.4 : 1 / 1.4, plot.width / 2, plot.height / 2);
    map.seen();
  }
  for (const button of plot.root.querySelectorAll("[data-zoom]")) button.addEventListener("click", function () { zoom(button.dataset.zoom); });

  over.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = (event.shiftKey ? 3 : 14) / plot.scale;
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (way) {
      const to = [map.at()[0] + step * way[0], map.at()[1] + step * way[1]];
      const x = plot.x(to[0]), y = plot.y(to[1]);
      // The view follows a probe that would leave it.
      if (x < 20 || x > plot.width - 20 || y < 20 || y > plot.height - 20) plot.move(-step * plot.scale * way[0], step * plot.scale * way[1]);
      map.probe(to);
    } else if (event.key === "Enter" || event.key === " ") map.pin(map.at());
    else if (event.key === "l" || event.key === "L") map.join();
    else if (event.key === "Escape") map.dropLine();
    else if (event.key === "+" || event.key === "=") zoom("in");
    else if (event.key === "-") zoom("out");
    else if (event.key === "0") zoom("all");
    else return;
    event.preventDefault();
    map.seen();
  });
};

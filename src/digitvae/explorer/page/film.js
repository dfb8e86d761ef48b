"use strict";
/* Training as a film: a slider over the snapshots moves every point and the mark on the loss curve. */
DV.views.film = (function () {
  const el = DV.el, SECONDS = 0.9;
  const loaded = new Map();
  let plot, order, shown = 0, playing = null, places = null, frame = null, begun = false;

  function epochs() { return DV.about.epochs; }
  async function snapshot(index) {
    if (!loaded.has(index)) loaded.set(index, DV.source.snapshot(epochs()[index]));
    return loaded.get(index);
  }

  async function go(index, still) {
    shown = index;
    const epoch = epochs()[index], a = DV.about;
    el("film-slider").value = index;
    el("film-slider").setAttribute("aria-valuetext", "after epoch " + epoch);
    for (const [n, tick] of [...el("film-ticks").children].entries()) tick.setAttribute("aria-current", String(n === index));
    keep();
    const last = a.curves.epoch.indexOf(epoch);
    el("film-text").textContent = "After epoch " + epoch + (last >= 0 ? ": validation loss " + a.curves.validation[last].toFixed(2) + ", training loss " +
      a.curves.train[last].toFixed(2) + " nats per image." : ".");
    DV.again.show("film-again", DV.again.film(epoch));
    curve(epoch);
    plot.root.classList.add("busy");
    try {
      const found = await snapshot(index);
      if (shown !== index) return;
      plot.root.classList.remove("busy");
      plate(found.plate);
      travel(found.places, still);
      if (index + 1 < epochs().length) snapshot(index + 1).catch(DV.fail);
    } catch (error) {
      loaded.delete(index);
      if (shown !== index) return;
      plot.root.classList.remove("busy");
      pause();
      DV.fail(error);
    }
  }

  /* Every point goes from where it is to where it was then, slow at both ends. */
  function travel(to, still) {
    cancelAnimationFrame(frame);
    order = order || DV.byDigit(DV.about.labels, to.length / 2);
    if (still || !places || DV.calm()) {
      places = to.slice();
      plot.redraw();
      return;
    }
    const from = places.slice(), began = performance.now();
    const step = function (now) {
      const share = Math.min(1, (now - began) / (1000 * SECONDS)), eased = share * share * (3 - 2 * share);
      for (let n = 0; n < places.length; n++) places[n] = from[n] + eased * (to[n] - from[n]);
      plot.redraw();
      if (share < 1) frame = requestAnimationFrame(step);
    };
    frame = requestAnimationFrame(step);
  }

  function plate(grey) {
    const canvas = el("film-plate"), side = Math.round(Math.sqrt(grey.length / 784));
    canvas.plate = grey;
    canvas.width = canvas.height = 28 * side;
    const pen = canvas.getContext("2d");
    for (let n = 0; n < side * side; n++) pen.putImageData(DV.picture(grey, 784 * n, 28, 28), 28 * (n % side), 28 * Math.floor(n / side));
  }

  function curve(now) {
    const { epoch, train, validation } = DV.about.curves, svg = el("curve"), width = 340, height = 200, left = 38, low = 24;
    if (!epoch.length) return;
    const values = [...train.slice(1), ...validation.slice(1)].concat(epoch.length < 2 ? [train[0], validation[0]] : []).sort(function (a, b) { return a - b; });
    const least = values[0], most = Math.max(least + 1, values[Math.floor(0.97 * (values.length - 1))]);
    const first = epoch[0], last = Math.max(first + 1, epoch[epoch.length - 1]);
    const x = function (e) { return left + (e - first) / (last - first) * (width - left - 8); };
    const y = function (v) { return 8 + (most - Math.min(v, most)) / (most - least) * (height - low - 16); };
    const path = function (list) { return list.map(function (v, n) { return (n ? "L" : "M") + x(epoch[n]).toFixed(1) + " " + y(v).toFixed(1); }).join(""); };
    const made = function (tag, attributes, text) {
      const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
      for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
      if (text !== undefined) node.textContent = text;
      return node;
    };
    const at = epoch.indexOf(now);
    svg.setAttribute("aria-label", "Loss curve: validation loss " + validation[0].toFixed(1) + " after the first epoch, " +
      validation[validation.length - 1].toFixed(1) + " after the last; now " + (at >= 0 ? validation[at].toFixed(1) : "unknown"));
    svg.replaceChildren(
      made("path", { class: "axis", d: "M" + left + " 4V" + (height - low) + "H" + (width - 4) }),
      made("path", { class: "train", d: path(train) }), made("path", { class: "validation", d: path(validation) }),
      made("text", { x: left - 5, y: y(least) + 4, "text-anchor": "end" }, least.toFixed(0)),
      made("text", { x: left - 5, y: y(most) + 4, "text-anchor": "end" }, most.toFixed(0)),
      made("text", { x: left, y: height - 8, "text-anchor": "middle" }, first),
      made("text", { x: width - 8, y: height - 8, "text-anchor": "end" }, "epoch " + last));
    if (at >= 0) svg.append(made("line", { class: "mark", x1: x(now), x2: x(now), y1: 4, y2: height - low }),
      made("circle", { class: "now", cx: x(now), cy: y(validation[at]), r: 5 }));
  }

  /* Each state stays for a while from when it is there, however long it takes to come. */
  async function play() {
    if (playing) return pause();
    const mine = playing = {};
    el("film-play").textContent = "Pause";
    await go(shown === epochs().length - 1 ? 0 : shown);
    while (playing === mine && shown + 1 < epochs().length) {
      await new Promise(function (next) { setTimeout(next, 1500); });
      if (playing === mine) await go(shown + 1);
    }
    if (playing === mine) pause();
  }
  function pause() {
    playing = null;
    el("film-play").textContent = "Play";
  }
  function keep() { DV.keep("film", { epoch: epochs()[shown] }); }

  function begin() {
    begun = true;
    plot = new DV.Plot(el("film-plot"));
    plot.draw = function (pen) {
      plot.axes(pen);
      if (!places) return;
      plot.points(pen, places, order);
      if (order.length > 1) order.forEach(function (rows, digit) {
        if (!rows.length) return;
        const sum = rows.reduce(function (s, n) { return [s[0] + places[2 * n], s[1] + places[2 * n + 1]]; }, [0, 0]);
        pen.fillStyle = DV.palette()[digit];
        plot.label(pen, String(digit), plot.x(sum[0] / rows.length), plot.y(sum[1] / rows.length), 20);
      });
    };
    plot.resized();
    const slider = el("film-slider");
    slider.max = epochs().length - 1;
    slider.addEventListener("input", function () { pause(); go(Number(slider.value)); });
    el("film-play").addEventListener("click", play);
    el("film-ticks").append(...epochs().map(function (epoch, n) {
      return DV.make("button", { type: "button", "aria-label": "After epoch " + epoch, onclick: function () { pause(); go(n); } }, String(epoch));
    }));
    document.addEventListener("theme", function () { if (el("film-plate").plate) plate(el("film-plate").plate); });
    DV.points.load().then(function () { plot.home = DV.points.home; plot.all(); }, DV.fail);
  }

  function show(parameters) {
    if (!epochs().length) {
      el("film-notice").textContent = DV.about.kind === "run"
        ? DV.about.map ? "This run has no snapshots yet; they are kept after the epochs that its recipe names." : DV.about.whyNoMap
        : "A model carries its final state only, so there is no film. A run has one: digitvae train, then digitvae explore runs/map.";
      el("film-notice").hidden = false;
      el("film-body").hidden = true;
      return;
    }
    if (!begun) begin();
    const index = epochs().indexOf(DV.number(parameters, "epoch", -1, 0, 1e9));
    go(index < 0 ? epochs().length - 1 : index, true);
  }
  return { show, hide: pause };
})();

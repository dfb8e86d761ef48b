"use strict";
/* A digit written by hand: strokes on a pad, or a picture; then everything that can be said of it. */
DV.views.draw = (function () {
  const el = DV.el, SIDE = 560, PEN = 46;
  let strokes = [], stroke = null, picture = null, answered = null, asking = null, begun = false;
  let bring = false;  // whether the answer is to come into sight: not where a finger may go on writing

  function redraw() {
    const pad = el("pad"), pen = pad.getContext("2d");
    pen.clearRect(0, 0, SIDE, SIDE);
    if (picture && picture.bitmap) {
      const size = Math.min(SIDE / picture.bitmap.width, SIDE / picture.bitmap.height);
      const [w, h] = [picture.bitmap.width * size, picture.bitmap.height * size];
      pen.imageSmoothingEnabled = !picture.grey;
      pen.drawImage(picture.bitmap, (SIDE - w) / 2, (SIDE - h) / 2, w, h);
    }
    trace(pen, DV.colour("ink"));
  }
  function trace(pen, colour) {
    pen.strokeStyle = pen.fillStyle = colour;
    pen.lineWidth = PEN;
    pen.lineCap = pen.lineJoin = "round";
    for (const points of strokes) {
      pen.beginPath();
      pen.moveTo(...points[0]);
      if (points.length < 2) pen.lineTo(points[0][0] + 0.1, points[0][1]);
      for (let n = 1; n < points.length; n++) {
        const [a, b] = [points[n - 1], points[n]];
        pen.quadraticCurveTo(a[0], a[1], (a[0] + b[0]) / 2, (a[1] + b[1]) / 2);
      }
      pen.lineTo(...points[points.length - 1]);
      pen.stroke();
    }
  }

  /* Strokes in the address: two bytes for each point, 255 and 255 between strokes. */
  function packed() {
    const bytes = strokes.flatMap(function (points, n) {
      return [...(n ? [255, 255] : []), ...points.flatMap(function ([x, y]) { return [x, y].map(function (v) { return Math.max(0, Math.min(254, Math.round(v / SIDE * 254))); }); })];
    });
    return DV.toAddress(Uint8Array.from(bytes));
  }
  function unpacked(text) {
    const found = [[]], bytes = DV.fromAddress(text);
    for (let n = 0; n + 1 < bytes.length; n += 2) {
      if (bytes[n] === 255 && bytes[n + 1] === 255) found.push([]);
      else found[found.length - 1].push([bytes[n] / 254 * SIDE, bytes[n + 1] / 254 * SIDE]);
    }
    return found.filter(function (points) { return points.length; });
  }
  function keep() {
    DV.keep("draw", {
      strokes: strokes.length ? packed() : null,
      grey: !strokes.length && picture && picture.grey ? DV.toAddress(picture.grey) : null,
      is: el("truth").value || null,
    });
  }

  function stop() {
    if (asking) asking.abort();
    asking = null;
  }
  /* What was answered is no answer to what there is now. */
  function forget() {
    stop();
    answered = DV.drawn = null;
    el("answer").hidden = true;
    el("no-answer").hidden = false;
  }
  function changed() {
    redraw();
    keep();
    ask();
  }
  const ask = DV.later(220, async function () {
    if (stroke) return;  // its end asks; until then no answer and no refusal may move the pad under the pen
    stop();
    const mine = asking = new AbortController();
    try {
      let body, type = "image/png";
      if (strokes.length) {
        const canvas = DV.make("canvas", { width: 280, height: 280 }), pen = canvas.getContext("2d");
        pen.fillStyle = "#000";
        pen.fillRect(0, 0, 280, 280);
        pen.scale(0.5, 0.5);
        trace(pen, "#fff");
        body = await new Promise(function (done) { canvas.toBlob(done, "image/png"); });
      } else if (picture && picture.grey) {
        body = picture.grey;
        type = "application/octet-stream";
      } else if (picture) {
        body = picture.blob;
        type = body.type || "image/png";
      } else return empty();
      el("answer").classList.add("busy");
      const found = await DV.source.draw(body, type, el("truth").value, mine.signal);
      if (mine !== asking) return;
      asking = null;
      DV.fine();
      show_answer(found);
    } catch (error) {
      if (mine !== asking) return;
      forget();
      DV.fail(error);
    } finally {
      if (!asking) el("answer").classList.remove("busy");
    }
  });

  function empty() {
    forget();
    DV.fine();
    keep();
  }

  function show_answer(found) {
    answered = found;
    el("answer").hidden = false;
    el("no-answer").hidden = true;
    const fitted = DV.bytes(found.fitted);
    if (picture && !strokes.length && !picture.grey) picture = { grey: fitted, bitmap: picture.bitmap };
    keep();
    const s = found.score;
    const best = found.probabilities.indexOf(Math.max(...found.probabilities));
    el("verdict").textContent = (best === 8 ? "An " : "A ") + best + (found.label !== best ? ", you say a " + found.label : "") + (s ? ", " + s.words : "") + ".";
    el("score").textContent = s
      ? (s.crossEntropy ? "Minus cross-entropy " : "log p(x) = ") + DV.shown(s.logProb, 1) + " nats under " + s.by + " (" + s.estimator + ", binarization " + s.binarization + "); " +
        DV.shown(s.percentile, 1) + " % of " + s.among + " are less probable."
      : found.noScore;
    DV.paint(el("fitted"), fitted);
    DV.save(el("save-digit"), fitted);
    const drawn = found.reconstruction;
    el("reconstruction").parentElement.hidden = !drawn;
    el("placed").parentElement.hidden = !found.place;
    if (drawn) DV.paint(el("reconstruction"), DV.bytes(drawn));
    placed();
    el("bars").replaceChildren(...found.probabilities.map(function (p, n) {
      const bar = DV.make("i");
      bar.style.width = 100 * p + "%";
      return DV.make("li", { class: n === best ? "first" : null }, DV.make("span", {}, String(n)), DV.make("span", { class: "bar" }, bar), DV.make("span", {}, DV.percent(p)));
    }));
    el("nearest").replaceChildren(...found.nearest.map(function (near) {
      const name = "Training digit " + DV.counted(near.row + 1) + (near.label === null ? "" : ", a " + near.label);
      return DV.make("li", { title: name }, DV.digit(DV.bytes(near.image), 0, name),
        DV.make("span", {}, (near.label === null ? "" : near.label + " · ") + near.distance.toFixed(1)));
    }));
    el("same-hand").hidden = el("hand-again").hidden = !found.hand;
    if (found.hand) {
      const ten = DV.bytes(found.hand);
      el("same-hand").replaceChildren(...Array.from({ length: 10 }, function (_, n) {
        return DV.make("li", {}, DV.digit(ten, n, "Digit " + n), DV.make("span", {}, n === found.label ? "yours" : String(n)));
      }));
      DV.again.show("hand-again", DV.again.sameHand(found.label));
    }
    el("same-hand-text").textContent = found.noHand || (DV.about.ownStudio ? "Drawn by this model." : "Drawn by the shipped studio; the explored model is not told which digit to draw.");
    DV.again.show("draw-again", DV.again.score(found));
    DV.drawn = { image: found.fitted, label: found.label };
    if (bring && !DV.calm() && innerWidth < 992) el("answer").scrollIntoView({ behavior: "smooth", block: "nearest" });
    bring = false;
  }

  function small(middle, reach, side) {
    return Object.assign(Object.create(DV.Plot.prototype), { middle, reach, home: DV.points.home, hidden: new Set(), width: side, height: side });
  }
  function drawPlace(pen, plot, radius) {
    const known = DV.points, { place, covariance } = answered;
    if (known.places.length) plot.points(pen, known.places, known.order, true);
    for (const [colour, wide] of [[DV.colour("paper"), 4], [DV.colour("pen"), 2]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = wide;
      if (covariance) for (const times of [1, 2]) plot.ellipse(pen, place, covariance, times);
      pen.beginPath(); pen.arc(plot.x(place[0]), plot.y(place[1]), radius, 0, 6.2832); pen.stroke();
    }
  }
  function placed() {
    const canvas = el("placed"), side = canvas.clientWidth;
    if (!side || !answered || !answered.place) return;
    const { place, covariance } = answered, ratio = Math.min(2, devicePixelRatio || 1), pen = canvas.getContext("2d");
    canvas.width = canvas.height = side * ratio;
    pen.scale(ratio, ratio);
    const whole = small([0, 0], Math.max(DV.points.home, 1.1 * Math.abs(place[0]), 1.1 * Math.abs(place[1])), side);
    drawPlace(pen, whole, 8);
    let text = ". This model keeps no spread with its styles.", larger = "";
    if (covariance) {
      const long = DV.surface.ellipse(covariance).long;
      if (long * whole.scale < 6) {
        // Too small to be seen: once more, larger, in the corner that is farthest from it.
        const part = 0.45 * side, near = small(place, 4 * long, part);
        pen.save();
        pen.translate(place[0] > 0 ? 0 : side - part, place[1] > 0 ? side - part : 0);
        pen.beginPath(); pen.rect(0, 0, part, part); pen.clip();
        pen.fillStyle = DV.colour("paper"); pen.fill();
        drawPlace(pen, near, 2);
        pen.strokeStyle = DV.colour("line"); pen.lineWidth = 2; pen.strokeRect(0, 0, part, part);
        pen.restore();
        larger = ", in the corner " + DV.counted(Math.round(near.scale / whole.scale)) + " times as large";
      }
      text = ". The ellipses are one and two standard deviations of its posterior" + larger + ".";
    }
    el("placed-text").textContent = "Its place: " + place.map(function (v) { return DV.shown(v, 2); }).join(", ") + text;
  }

  async function open(blob) {
    try {
      let bitmap;
      try { bitmap = await createImageBitmap(blob); } catch (error) { bitmap = null; }
      // A photograph is made smaller here; the server takes none above 8 MB.
      if (bitmap && Math.max(bitmap.width, bitmap.height) > 1600) {
        const share = 1600 / Math.max(bitmap.width, bitmap.height);
        const canvas = DV.make("canvas", { width: Math.round(bitmap.width * share), height: Math.round(bitmap.height * share) });
        canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
        blob = await new Promise(function (done) { canvas.toBlob(done, "image/png"); });
        bitmap = await createImageBitmap(blob);
      }
      strokes = [];
      picture = { blob, bitmap };
      bring = true;
      changed();
    } catch (error) { DV.fail(error); }
  }
  async function openGrey(grey) {
    const mine = picture = { grey };
    ask();
    mine.bitmap = await createImageBitmap(DV.picture(grey, 0, 28, 28));
    redraw();
  }

  function begin() {
    begun = true;
    const pad = el("pad");
    const spot = function (event) {
      const box = pad.getBoundingClientRect();
      return [(event.clientX - box.left) / box.width * SIDE, (event.clientY - box.top) / box.height * SIDE];
    };
    pad.addEventListener("pointerdown", function (event) {
      if (event.button || stroke) return;
      event.preventDefault();
      pad.setPointerCapture(event.pointerId);
      stop();
      picture = null;
      bring = false;
      stroke = { id: event.pointerId, points: [spot(event)] };
      strokes.push(stroke.points);
      redraw();
    });
    pad.addEventListener("pointermove", function (event) {
      if (!stroke || event.pointerId !== stroke.id) return;
      for (const each of event.getCoalescedEvents ? event.getCoalescedEvents() : [event]) {
        const to = spot(each), from = stroke.points[stroke.points.length - 1];
        if (Math.hypot(to[0] - from[0], to[1] - from[1]) > 9) stroke.points.push(to);
      }
      redraw();
    });
    const end = function (event) {
      if (!stroke || event.pointerId !== stroke.id) return;
      stroke = null;
      changed();
    };
    pad.addEventListener("pointerup", end);
    pad.addEventListener("pointercancel", end);
    el("undo").addEventListener("click", function () {
      if (picture) picture = null; else strokes.pop();
      changed();
    });
    el("clear").addEventListener("click", function () { strokes = []; picture = null; el("truth").value = ""; changed(); });
    el("example").addEventListener("click", function () {
      picture = null;
      strokes = [[[170, 150], [250, 140], [390, 130], [360, 220], [300, 320], [262, 440]], [[215, 300], [390, 285]]];
      bring = true;
      changed();
    });
    el("upload").addEventListener("change", function () { if (el("upload").files[0]) open(el("upload").files[0]); el("upload").value = ""; });
    addEventListener("paste", function (event) {
      if (el("draw").hidden) return;
      const file = [...event.clipboardData.files].find(function (f) { return f.type.startsWith("image/"); });
      if (file) open(file);
    });
    for (let d = 0; d < 10; d++) el("truth").append(DV.make("option", { value: d }, String(d)));
    el("truth").addEventListener("change", changed);
    el("find").addEventListener("click", function () { DV.views.map.find(answered.place, answered.label); });
    addEventListener("resize", DV.later(150, placed));
    document.addEventListener("theme", async function () {
      if (picture && picture.grey) picture.bitmap = await createImageBitmap(DV.picture(picture.grey, 0, 28, 28));
      redraw();
      placed();
    });
  }

  function show(parameters) {
    if (!begun) begin();
    if (DV.about.map) DV.points.load().then(placed, DV.fail);
    // A picture has no address before it is answered: who comes back meanwhile finds it waiting still.
    if (picture && picture.blob && !parameters.has("strokes") && !parameters.has("grey")) return;
    stop();
    el("truth").value = parameters.get("is") || "";
    strokes = [];
    stroke = picture = null;
    try {
      if (parameters.has("strokes")) strokes = unpacked(parameters.get("strokes"));
      else if (parameters.has("grey")) return openGrey(DV.fromAddress(parameters.get("grey")));
    } catch (error) { /* an address that somebody cut short */ }
    redraw();
    if (strokes.length) ask(); else empty();
  }
  return { show };
})();

"use strict";
/* Where data comes from: the server that sent this page. An exported folder has another file of this name. */
DV.source = (function () {
  async function asked(path, options) {
    let response;
    try {
      response = await fetch("api/" + path, options);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Error("The server does not answer; was it stopped? Start digitvae explore again and reload.");
    }
    if (response.ok) return response;
    let sentence = "The server answered " + response.status + ".";
    try { sentence = (await response.json()).error; } catch (error) { /* no sentence came along */ }
    throw new Error(sentence);
  }
  async function json(path, options) { return (await asked(path, options)).json(); }
  function posted(body, type) { return { method: "POST", body: body, headers: { "Content-Type": type } }; }
  const binary = "application/octet-stream";

  return {
    reach: Infinity,  // how far out there are digits
    about: function () { return json("about"); },
    edge: function () { return json("support"); },
    clusters: function () { return json("clusters"); },
    points: async function (some) {
      for (;;) {
        const response = await asked("points");
        const done = response.headers.get("X-Done") === "1";
        some(new Float32Array(await response.arrayBuffer()), done);
        if (done) return;
        await new Promise(function (next) { setTimeout(next, 250); });
      }
    },
    snapshot: async function (epoch) {
      const response = await asked("snapshots/" + epoch);
      const points = Number(response.headers.get("X-Points"));
      const content = await response.arrayBuffer();
      return { places: new Float32Array(content, 0, 2 * points), plate: new Uint8Array(content, 8 * points) };
    },
    decode: async function (places, digit) {
      const response = await asked("decode?digit=" + (digit || 0), posted(new Float32Array(places), binary));
      return new Uint8Array(await response.arrayBuffer());
    },
    read: function (place, digit) {
      return json("read?digit=" + (digit || 0), posted(new Float32Array(place), binary));
    },
    draw: function (content, type, digit, signal) {
      return json("draw" + (digit === "" ? "" : "?digit=" + digit), { ...posted(content, type), signal: signal });
    },
    style: function (wish) { return json("style", posted(JSON.stringify(wish), "application/json")); },
    written: function (values) { return "api/write?" + new URLSearchParams(values); },
    line: async function (values) { return (await asked("write?" + new URLSearchParams(values))).blob(); },
  };
})();

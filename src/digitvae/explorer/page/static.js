"use strict";
/* Where the data of an exported folder comes from: data.js beside this file. Digits are blended between nodes. */
DV.source = (function () {
  const content = window.DIGITVAE;
  let nodes = null, unpacking = null;
  async function unpacked() {
    const stream = new Blob([DV.bytes(content.nodes.digits)]).stream().pipeThrough(new DecompressionStream("deflate"));
    nodes = new Uint8Array(await new Response(stream).arrayBuffer());
  }
  function floats(text) { return new Float32Array(DV.bytes(text).buffer); }

  /* The four nodes around a place, bilinearly; beyond the grid what its rim has, which the page says. */
  function blend(x, y, into, at) {
    const { steps, reach } = content.nodes, last = steps - 1;
    const u = Math.min(last, Math.max(0, (x / reach + 1) / 2 * last)), v = Math.min(last, Math.max(0, (y / reach + 1) / 2 * last));
    const i = Math.min(last - 1, Math.floor(u)), j = Math.min(last - 1, Math.floor(v)), a = u - i, b = v - j;
    const n = 784 * (j * steps + i), right = n + 784, up = n + 784 * steps;
    for (let k = 0; k < 784; k++) {
      into[at + k] = Math.round((1 - b) * ((1 - a) * nodes[n + k] + a * nodes[right + k]) + b * ((1 - a) * nodes[up + k] + a * nodes[up + 784 + k]));
    }
  }

  return {
    about: async function () { return content.about; },
    edge: async function () { return content.edge; },
    clusters: async function () { return content.clusters; },
    points: async function (some) { some(floats(content.places), true); },
    snapshot: async function (epoch) {
      const found = content.snapshots[epoch];
      return { places: floats(found.places), plate: DV.bytes(found.plate) };
    },
    decode: async function (places) {
      await (unpacking = unpacking || unpacked());
      const grey = new Uint8Array(784 * places.length / 2);
      for (let n = 0; n < places.length / 2; n++) blend(places[2 * n], places[2 * n + 1], grey, 784 * n);
      return grey;
    },
    read: null,
    reach: content.nodes.reach,
  };
})();

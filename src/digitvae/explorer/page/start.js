"use strict";
/* Ask what there is to show, then show what the address says. */
(async function () {
  try {
    const about = DV.about = await DV.source.about();
    DV.el("name").textContent = about.name;
    DV.el("facts").textContent = (about.kind === "run" ? "A run of " : "A model of ") + about.recipe + ", " + about.latent +
      (about.latent === 1 ? " latent dimension, " : " latent dimensions, ") + about.digits + (about.seen ? ", seen in training" : "");
    if (about.exported) {
      for (const view of ["map", "film", "draw", "style", "write"]) {
        if (about.exported.includes(view)) continue;
        delete DV.views[view];
        DV.el("tab-" + view).remove();
        DV.el(view).remove();
      }
      DV.el("probe-reads").previousElementSibling.remove();
      DV.el("probe-reads").remove();
    }
    DV.el("foot").textContent = about.exported
      ? "A copy that needs no server. " + about.difference
      : "Served on this machine alone. What stands in the address is the whole state: bookmark it or send it to who explores the same model.";
    DV.begin();
  } catch (error) { DV.fail(error); }
})();

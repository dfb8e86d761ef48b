"use strict";
(function () {
  const section = document.getElementById("snapshots");
  const panels = Array.from(section.querySelectorAll(".snapshot"));
  if (panels.length < 2) return;
  document.documentElement.classList.add("js");
  const bar = section.querySelector(".stepper");
  const tabs = Array.from(bar.querySelectorAll("[role=tab]"));
  const play = bar.querySelector("[data-play]");
  const all = bar.querySelector("[data-all]");
  let shown = panels.length - 1;
  let timer = null;

  function show(index, focus) {
    shown = (index + panels.length) % panels.length;
    panels.forEach(function (panel, i) { panel.hidden = i !== shown; });
    tabs.forEach(function (tab, i) {
      tab.setAttribute("aria-selected", String(i === shown));
      tab.tabIndex = i === shown ? 0 : -1;
    });
    if (focus) tabs[shown].focus({ preventScroll: true });
  }
  function pause() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  }
  function showAll(yes) {
    section.classList.toggle("all", yes);
    all.setAttribute("aria-pressed", String(yes));
  }
  function step(index, focus) {
    pause();
    showAll(false);
    show(index, focus);
  }
  tabs.forEach(function (tab, i) {
    tab.addEventListener("click", function () { step(i, false); });
    tab.addEventListener("keydown", function (event) {
      const to = { ArrowRight: shown + 1, ArrowLeft: shown - 1, Home: 0, End: panels.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      step(to, true);
    });
  });
  play.addEventListener("click", function () {
    if (timer !== null) return pause();
    showAll(false);
    play.textContent = "Pause";
    show(shown + 1, false);
    timer = setInterval(function () { show(shown + 1, false); }, 1400);
  });
  all.addEventListener("click", function () {
    pause();
    showAll(!section.classList.contains("all"));
  });
  panels.forEach(function (panel, i) {
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", tabs[i].id);
  });
  bar.hidden = false;
  const asked = panels.findIndex(function (panel) { return "#" + panel.id === location.hash; });
  show(asked < 0 ? shown : asked, false);
  addEventListener("hashchange", function () {
    const i = panels.findIndex(function (panel) { return "#" + panel.id === location.hash; });
    if (i >= 0) step(i, false);
  });
})();

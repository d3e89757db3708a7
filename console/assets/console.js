// Keys for the pages: / to the search, j and k along the rows, Enter opens, ? lists them all.
// Everything here can be done without it.
"use strict";
(() => {
  const rows = () => [...document.querySelectorAll("tr[data-row]")];
  const link = (row) => row.querySelector("a[href]");
  const follow = (selector) => { const a = document.querySelector(selector); if (a) a.click(); };
  const PLACES = { o: "/", e: "/audit", s: "/sessions", a: "/approvals" };
  let afterG = false;

  const step = (by) => {
    const all = rows();
    if (all.length === 0) return;
    const here = all.findIndex((row) => row.contains(document.activeElement));
    const next = all[here < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(here + by, 0), all.length - 1)];
    link(next).focus();
    next.scrollIntoView({ block: "nearest" });
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const at = event.target;
    if (at.closest("input, select, textarea, [contenteditable]")) {
      if (event.key === "Escape") at.blur();
      return;
    }
    if (document.querySelector("dialog[open]")) return;
    const wasG = afterG;
    afterG = false;
    setTimeout(() => { delete document.body.dataset.afterG; });
    if (wasG && PLACES[event.key]) { location.assign(PLACES[event.key]); event.preventDefault(); return; }
    switch (event.key) {
      case "/": {
        const bar = document.getElementById("q");
        if (bar) { bar.focus(); bar.select(); } else location.assign("/audit");
        break;
      }
      case "j": step(1); break;
      case "k": step(-1); break;
      case "n": follow("a[rel=next]"); break;
      case "p": follow("a[rel=prev]"); break;
      case "g": afterG = true; setTimeout(() => { document.body.dataset.afterG = "1"; }); break;
      case "?": document.getElementById("keys")?.showModal(); break;
      default: return;
    }
    event.preventDefault();
  });

  // On a phone the facets would push the rows off the screen.
  const facets = document.querySelector("details.facets");
  if (facets && matchMedia("(max-width: 60rem)").matches) facets.open = false;
})();

// Keeps the list of waiting requests live: the server says that something changed, this fetches
// the list and puts in, takes out or replaces only the cards that differ. A reason that is being
// typed is never lost.
"use strict";
(() => {
  const list = document.getElementById("pending");
  const live = document.getElementById("live");

  const countDown = () => {
    const now = Date.now();
    for (const time of document.querySelectorAll("time[data-until]")) {
      const seconds = Math.max(0, Math.floor((Number(time.dataset.until) - now) / 1000));
      const two = (n) => String(n).padStart(2, "0");
      time.textContent = seconds < 60 ? `${seconds} s`
        : seconds < 3600 ? `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`
        : `${Math.floor(seconds / 3600)} h ${two(Math.floor(seconds % 3600 / 60))} min`;
    }
  };
  countDown();
  setInterval(countDown, 1000);
  if (!list) return;

  const typing = (card) => {
    const reason = card.querySelector("input[name=reason]");
    return reason && (reason.value !== "" || reason === document.activeElement);
  };

  let running = false;
  let again = false;
  const refresh = async () => {
    if (running) { again = true; return; }
    running = true;
    try {
      const answer = await fetch("/approvals/pending", { credentials: "same-origin" });
      if (answer.redirected || !answer.ok) { location.reload(); return; }
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = [...page.querySelectorAll("article.card")];
      const ids = new Set(fresh.map((card) => card.id));
      for (const card of [...list.children]) if (!ids.has(card.id)) card.remove();
      let place = null;
      for (const card of fresh) {
        let here = document.getElementById(card.id);
        if (!here || (here.dataset.version !== card.dataset.version && !typing(here))) {
          const adopted = document.importNode(card, true);
          if (here) {
            adopted.querySelectorAll("details").forEach((d, i) => {
              const old = here.querySelectorAll("details")[i];
              if (old && old.open) d.open = true;
            });
            here.replaceWith(adopted);
          } else if (place) place.after(adopted);
          else list.prepend(adopted);
          here = adopted;
        }
        place = here;
      }
      document.getElementById("nothing").hidden = fresh.length > 0;
      document.title = (fresh.length ? `(${fresh.length}) ` : "") + document.title.replace(/^\(\d+\) /, "");
      countDown();
    } catch { /* The event source says when the console is back. */ }
    finally {
      running = false;
      if (again) { again = false; refresh(); }
    }
  };

  const events = new EventSource("/approvals/stream");
  events.addEventListener("open", () => { live.hidden = false; refresh(); });
  events.addEventListener("changed", refresh);
  events.addEventListener("error", () => { live.hidden = true; });
})();

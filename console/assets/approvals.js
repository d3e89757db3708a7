// Keeps the page of waiting requests live: the server says that something changed, this fetches the
// list and puts in, takes out or replaces only what differs. A reason that is being typed stays.
// Keys: j and k choose a request, a approves it, r refuses it, c writes a reason, Enter opens it.
"use strict";
(() => {
  const list = document.getElementById("pending");
  const one = document.getElementById("one");
  const live = document.getElementById("live");

  const countDown = () => {
    const now = Date.now();
    for (const time of document.querySelectorAll("time[data-until]")) {
      const seconds = Math.max(0, Math.floor((Number(time.dataset.until) - now) / 1000));
      const two = (n) => String(n).padStart(2, "0");
      time.textContent = seconds < 60 ? `${seconds} s`
        : seconds < 3600 ? `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`
        : `${Math.floor(seconds / 3600)} h ${two(Math.floor(seconds % 3600 / 60))} min`;
      const badge = time.closest(".badge.warn");
      if (badge) badge.classList.toggle("soon", seconds < 10);
    }
  };
  countDown();
  setInterval(countDown, 1000);

  // What a person has typed, opened and chosen in `here`, put into what replaces it.
  const keep = (here, fresh) => {
    const find = (root, form, name) => root.querySelector(`form[data-form="${form}"] input[name="${name}"]`);
    for (const [n, form] of [...here.querySelectorAll("form")].entries()) form.dataset.form = n;
    for (const [n, form] of [...fresh.querySelectorAll("form")].entries()) form.dataset.form = n;
    for (const form of here.querySelectorAll("form")) {
      const typed = form.querySelector("input[name=reason]");
      const next = typed && find(fresh, form.dataset.form, "reason");
      if (next) next.value = typed.value;
    }
    const open = [...here.querySelectorAll("details")];
    fresh.querySelectorAll("details").forEach((d, n) => { if (open[n]) d.open = open[n].open; });
  };
  const place = (element) => {
    if (!element || element === document.body) return null;
    const card = element.closest("article.card");
    const form = element.closest("form");
    return { card: card && card.id, form: form && form.dataset.form, name: element.name, start: element.selectionStart };
  };
  const focus = (was, fresh) => {
    if (!was || !was.card) return;
    const card = fresh.id === was.card ? fresh : fresh.querySelector(`[id="${was.card}"]`);
    if (!card) return;
    const input = was.name === "reason" && fresh.querySelector(`form[data-form="${was.form}"] input[name=reason]`);
    if (input) { input.focus(); input.setSelectionRange(was.start, was.start); } else card.focus({ preventScroll: true });
  };

  // A form that is on its way must not be overtaken by a page that loads itself anew.
  let leaving = false;
  document.addEventListener("submit", () => { leaving = true; });
  addEventListener("pageshow", () => { leaving = false; });

  let running = false;
  let again = false;
  const refresh = async () => {
    if (leaving) return;
    if (running) { again = true; return; }
    running = true;
    try {
      const seen = document.visibilityState === "visible";
      const answer = await fetch(`/approvals/pending?visible=${seen}`, { credentials: "same-origin" });
      if (answer.redirected || !answer.ok) { location.reload(); return; }
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = [...page.querySelectorAll(".group")];
      const ids = new Set(fresh.map((group) => group.id));
      for (const group of [...list.children]) if (!ids.has(group.id)) group.remove();
      let last = null;
      for (const group of fresh) {
        let here = document.getElementById(group.id);
        if (!here || here.dataset.version !== group.dataset.version) {
          const adopted = document.importNode(group, true);
          if (here) {
            const was = here.contains(document.activeElement) ? (keep(here, adopted), place(document.activeElement)) : (keep(here, adopted), null);
            here.replaceWith(adopted);
            focus(was, adopted);
          } else if (last) last.after(adopted);
          else list.prepend(adopted);
          here = adopted;
        }
        last = here;
      }
      document.getElementById("nothing").hidden = fresh.length > 0;
      const count = list.querySelectorAll("article.card").length;
      document.title = (count ? `(${count}) ` : "") + document.title.replace(/^\(\d+\) /, "");
      countDown();
    } catch { /* The event source says when the console is back. */ }
    finally {
      running = false;
      if (again) { again = false; refresh(); }
    }
  };

  // The request's own page: loaded anew when it has changed and nothing is being typed.
  const reload = async () => {
    if (leaving) return;
    const typed = [...one.querySelectorAll("input[name=reason]")].some((input) => input.value !== "");
    if (!typed) { location.reload(); return; }
    const answer = await fetch(location.pathname, { credentials: "same-origin" }).catch(() => null);
    if (!answer || !answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("one");
    if (!fresh) { location.reload(); return; }
    const adopted = document.importNode(fresh.querySelector("article.card"), true);
    const here = one.querySelector("article.card");
    keep(here, adopted);
    const was = place(document.activeElement);
    here.replaceWith(adopted);
    focus(was, adopted);
    countDown();
  };

  const events = new EventSource("/approvals/stream");
  let lost = false;
  events.addEventListener("open", () => {
    if (live) live.hidden = false;
    if (list) refresh();
    else if (lost) reload();
    lost = false;
  });
  events.addEventListener("changed", () => { if (list) refresh(); else reload(); });
  events.addEventListener("error", () => { lost = true; if (live) live.hidden = true; });
  document.addEventListener("visibilitychange", () => { if (list && document.visibilityState === "visible") refresh(); });

  const cards = () => [...document.querySelectorAll("article.card")].filter((card) => card.checkVisibility());
  const chosen = () => {
    const card = document.activeElement && document.activeElement.closest("article.card");
    // On the request's own page there is nothing to choose.
    return card || (one && one.querySelector("article.card"));
  };
  const send = (card, selector) => {
    const button = card && card.querySelector(`form.decide ${selector}[formaction]`);
    if (!button || button.disabled) return;
    button.form.requestSubmit(button);
    for (const other of button.form.querySelectorAll("button")) other.disabled = true;
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat) return;
    if (event.target.closest("input, select, textarea, button, a, summary, [contenteditable]") && event.key === "Enter") return;
    if (event.target.closest("input, select, textarea, [contenteditable]")) return;
    if (document.querySelector("dialog[open]") || document.body.dataset.afterG) return;
    const card = chosen();
    switch (event.key) {
      case "j": case "k": {
        const all = cards();
        if (all.length === 0) return;
        const here = all.indexOf(card);
        const by = event.key === "j" ? 1 : -1;
        const next = all[here < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(here + by, 0), all.length - 1)];
        next.focus();
        next.scrollIntoView({ block: "nearest" });
        break;
      }
      case "a": send(card, "button.approve"); break;
      case "r": send(card, "button.refuse"); break;
      case "c": { const reason = card && card.querySelector("form.decide input[name=reason]"); if (reason) reason.focus(); break; }
      case "Enter": { if (one || !card) return; card.querySelector("h3 a").click(); break; }
      default: return;
    }
    event.preventDefault();
  });
})();

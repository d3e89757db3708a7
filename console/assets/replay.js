// Plays what the page lists already: without this script everything is there at once.
"use strict";
(() => {
  const player = document.getElementById("player");
  if (!player) return;
  const byId = (id) => document.getElementById(id);
  const steps = [...document.querySelectorAll("#steps > .step")].map((element) => ({
    element,
    at: Number(element.dataset.at),
    until: Number(element.dataset.until),
    pieces: [...element.querySelectorAll(".piece")].map((piece) => ({ piece, at: Number(piece.dataset.at) })),
  }));
  if (steps.length === 0) return;
  const total = Number(player.dataset.total);
  const longestPause = 1500;
  let now = 0;
  let current = -1;
  let playing = 0;
  let whole = true;

  const clock = (ms) => {
    if (ms < 60000) return `${(ms / 1000).toFixed(1)} s`;
    const two = (number) => String(Math.floor(number) % 60).padStart(2, "0");
    const [seconds, minutes, hours] = [two(ms / 1000), ms / 60000, Math.floor(ms / 3600000)];
    return hours ? `${hours}:${two(minutes)}:${seconds}` : `${Math.floor(minutes)}:${seconds}`;
  };
  const show = () => {
    steps.forEach((step, index) => {
      const later = !whole && (current >= 0 && !playing ? index > current : step.at > now);
      step.element.classList.toggle("later", later);
      step.element.classList.toggle("now", !whole && index === current);
      for (const { piece, at } of step.pieces) piece.classList.toggle("later", Boolean(playing) && at > now);
    });
    byId("at").value = String(now);
    byId("clock").textContent = clock(now);
    byId("play").textContent = playing ? "Pause" : "Play";
  };
  const lastBefore = (ms) => {
    let found = -1;
    steps.forEach((step, index) => { if (step.at <= ms) found = index; });
    return found;
  };
  const stop = () => {
    if (playing) cancelAnimationFrame(playing);
    playing = 0;
  };
  const goTo = (index) => {
    stop();
    whole = false;
    current = Math.max(0, Math.min(steps.length - 1, index));
    now = steps[current].until;
    show();
    steps[current].element.scrollIntoView({ block: "nearest" });
    steps[current].element.focus({ preventScroll: true });
  };
  // The next moment at which something appears.
  const nextMoment = () => {
    let next = Infinity;
    for (const step of steps) {
      if (step.at > now) next = Math.min(next, step.at);
      for (const { at } of step.pieces) if (at > now) next = Math.min(next, at);
    }
    return next;
  };
  const play = () => {
    whole = false;
    if (now >= total) now = 0;
    let before = performance.now();
    const frame = (time) => {
      const speed = Number(byId("speed").value);
      now += (time - before) * speed;
      before = time;
      const next = nextMoment();
      if (byId("skip").checked && next - now > longestPause && next !== Infinity) now = next - longestPause;
      if (now >= total) {
        now = total;
        current = steps.length - 1;
        stop();
        show();
        return;
      }
      const at = lastBefore(now);
      const moved = at !== current;
      current = at;
      show();
      if (moved && at >= 0) steps[at].element.scrollIntoView({ block: "nearest" });
      playing = requestAnimationFrame(frame);
    };
    playing = requestAnimationFrame(frame);
    show();
  };
  const toggle = () => {
    if (playing) {
      stop();
      show();
    } else {
      play();
    }
  };

  byId("back").addEventListener("click", () => goTo(whole ? 0 : current - 1));
  byId("on").addEventListener("click", () => goTo(whole ? 0 : current + 1));
  byId("play").addEventListener("click", toggle);
  byId("all").addEventListener("click", () => { stop(); whole = true; current = -1; now = 0; show(); });
  byId("at").addEventListener("input", () => {
    stop();
    whole = false;
    now = Number(byId("at").value);
    current = lastBefore(now);
    show();
  });
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.target instanceof Element && event.target.closest("input, select, textarea, summary")) return;
    if (event.key === "ArrowRight") byId("on").click();
    else if (event.key === "ArrowLeft") byId("back").click();
    else if (event.key === " " && !(event.target instanceof HTMLButtonElement)) toggle();
    else return;
    event.preventDefault();
  });
  player.hidden = false;
  show();
})();

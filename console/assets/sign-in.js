// A sign-in link carries the secret behind the #, which browsers send to nobody.
"use strict";
(() => {
  const form = document.getElementById("sign-in");
  const secret = decodeURIComponent(location.hash.slice(1));
  if (secret && form.elements) {
    history.replaceState(null, "", location.pathname + location.search);
    form.elements.secret.value = secret;
    form.requestSubmit();
    return;
  }
  // A link from another site comes without the session's strict cookie; from here it is sent.
  const next = form.dataset.next;
  if (next.startsWith("/") && !next.startsWith("//")) {
    fetch("/session", { credentials: "same-origin" }).then((answer) => {
      if (answer.status === 204) location.replace(next);
    }).catch(() => {});
  }
})();

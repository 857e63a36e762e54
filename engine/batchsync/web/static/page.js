// Live updates: the server says that something changed, and the part of the page named "live" is read again.
"use strict";

(() => {
  const state = document.getElementById("live-state");
  const progress = document.getElementById("progress");
  const stale = document.getElementById("stale");
  let timer = 0;
  let lost = false;

  const isBeingEdited = () =>
    [...document.querySelectorAll("form.act input:not([type=hidden])")].some(
      (field) => field.value !== field.defaultValue || field.checked !== field.defaultChecked,
    );

  const refresh = () => {
    if (timer) return;
    timer = setTimeout(() => {
      timer = 0;
      if (!document.getElementById("live")) stale.hidden = false;
      else document.body.dispatchEvent(new CustomEvent("changed"));
    }, 400);
  };

  const listen = () => {
    state.textContent = "connecting";
    const source = new EventSource("/events");
    source.addEventListener("open", () => {
      state.textContent = "live";
      document.documentElement.dataset.live = "yes";
      if (lost) refresh();
      lost = false;
    });
    source.addEventListener("error", () => {
      state.textContent = "not live: reconnecting";
      lost = true;
      // A browser gives up after an answer that is no stream, such as that of a server that starts again.
      if (source.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
    });
    source.addEventListener("changed", () => {
      progress.textContent = "";
      refresh();
    });
    source.addEventListener("reload", refresh);
    source.addEventListener("progress", (event) => {
      progress.textContent = JSON.parse(event.data).text;
    });
  };

  // What a person has opened stays open when the part is replaced, and forms that appear later are shown by reading
  // the page again, unless a form is being filled in.
  let opened = [];
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    opened = [...document.querySelectorAll("#live details[open][id]")].map((item) => item.id);
    const next = new DOMParser().parseFromString(event.detail.xhr.responseText, "text/html");
    const forms = (root) => [...root.querySelectorAll("form.act")].map((form) => form.getAttribute("action") + (form.elements.version?.value ?? "")).join();
    if (next.getElementById("live") && forms(next) !== forms(document)) {
      if (isBeingEdited()) stale.hidden = false;
      else location.reload();
    }
  });
  document.body.addEventListener("htmx:afterSwap", () => {
    for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
  });

  if (document.querySelector("[hx-get]")) listen();
})();

"use strict";
const root = "/_mock/";
const byId = (id) => document.getElementById(id);
const token = byId("token");
const message = byId("message");
const panel = { vendor: "", batch: "", offset: 0, limit: 50, asked: 0 };
const shown = {};
let pressed = null;

token.value = sessionStorage.getItem("token") || "";
token.addEventListener("input", () => sessionStorage.setItem("token", token.value.trim()));

function authorized(headers) {
  return { ...headers, Authorization: "Bearer " + token.value.trim() };
}

async function problem(answer) {
  if (answer.status === 401) {
    return "Enter the control token, at the top of the page: the mocks print it when they start.";
  }
  try {
    return (await answer.json()).error;
  } catch {
    return "The mocks respond with status " + answer.status + ".";
  }
}

async function send(method, path, body) {
  message.textContent = "";
  try {
    const headers = authorized({ "Content-Type": "application/json" });
    const answer = await fetch(root + path, { method, headers, body: method === "DELETE" ? undefined : JSON.stringify(body) });
    if (!answer.ok) {
      message.textContent = await problem(answer);
    }
  } catch {
    message.textContent = "The mocks do not respond.";
  }
  await refresh();
}

async function refresh() {
  let sections;
  try {
    const answer = await fetch(root + "live");
    if (!answer.ok) {
      throw new Error(await problem(answer));
    }
    sections = await answer.json();
  } catch {
    byId("state").textContent = "Not connected: the mocks do not respond";
    byId("state").className = "lost";
    return;
  }
  byId("state").textContent = "Live";
  byId("state").className = "";
  let batchesChanged = false;
  for (const [id, html] of Object.entries(sections)) {
    if (shown[id] !== html && !isInUse(byId(id))) {
      replace(byId(id), html);
      batchesChanged = batchesChanged || (shown[id] !== undefined && id.startsWith("batches-"));
      shown[id] = html;
    }
  }
  if (batchesChanged && panel.batch) {
    await showRows();
  }
}

// A section is not replaced while one of its buttons is pressed, or some of its text is selected.
function isInUse(section) {
  const selection = getSelection();
  return section === pressed || (!selection.isCollapsed && section.contains(selection.anchorNode));
}

function replace(section, html) {
  const focused = section.contains(document.activeElement) ? document.activeElement.dataset.rows : undefined;
  // Made by the mocks, with every value escaped.
  section.innerHTML = html;
  if (focused !== undefined) {
    section.querySelector(`button[data-rows="${CSS.escape(focused)}"]`)?.focus();
  }
}

async function showRows() {
  const asked = ++panel.asked;
  const { vendor, batch, offset, limit } = panel;
  const outcome = byId("rows-outcome").value;
  const query = new URLSearchParams({ vendor, batch, offset, limit, outcome, format: "html" });
  let html = "";
  try {
    const answer = await fetch(root + "rows?" + query, { headers: authorized({}) });
    if (!answer.ok) {
      message.textContent = await problem(answer);
      return;
    }
    html = await answer.text();
  } catch {
    return;
  }
  if (asked !== panel.asked) {
    return;
  }
  message.textContent = "";
  byId("rows").hidden = false;
  byId("rows-batch").textContent = batch;
  byId("rows-table").innerHTML = html;
  const facts = byId("rows-table").querySelector("[data-more]").dataset;
  byId("rows-first").disabled = byId("rows-previous").disabled = offset === 0;
  byId("rows-next").disabled = facts.more !== "true";
}

function turnTo(offset) {
  panel.offset = Math.max(0, offset);
  return showRows();
}

function arm(button) {
  const requests = byId("arm-requests").selectedOptions[0].dataset;
  const fault = { kind: button.dataset.kind, path: requests.path, times: Number(byId("arm-times").value) };
  if (requests.method) {
    fault.method = requests.method;
  }
  if (byId("arm-vendor").value) {
    fault.vendor = byId("arm-vendor").value;
  }
  for (const [name, key] of [["seconds", "seconds"], ["status", "status"], ["retryAfter", "retry_after"]]) {
    if (button.dataset[name]) {
      fault[key] = Number(button.dataset[name]);
    }
  }
  return send("POST", "faults", fault);
}

document.addEventListener("pointerdown", (event) => {
  pressed = event.target.closest("section");
});
for (const name of ["pointerup", "pointercancel"]) {
  document.addEventListener(name, () => setTimeout(() => {
    pressed = null;
  }));
}
document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) {
    return;
  }
  if (button.dataset.path) {
    send(button.dataset.method, button.dataset.path, JSON.parse(button.dataset.body));
  } else if (button.dataset.kind) {
    arm(button);
  } else if (button.dataset.rows) {
    Object.assign(panel, { vendor: button.dataset.vendor, batch: button.dataset.rows });
    turnTo(0).then(() => byId("rows").scrollIntoView({ block: "nearest" }));
  }
});
byId("rows-first").addEventListener("click", () => turnTo(0));
byId("rows-previous").addEventListener("click", () => turnTo(panel.offset - panel.limit));
byId("rows-next").addEventListener("click", () => turnTo(panel.offset + panel.limit));
byId("rows-outcome").addEventListener("change", () => turnTo(0));
byId("rows-close").addEventListener("click", () => {
  panel.batch = "";
  panel.asked += 1;
  byId("rows").hidden = true;
  byId("rows-table").textContent = "";
});
byId("advance").addEventListener("submit", (event) => {
  event.preventDefault();
  send("POST", "clock", { advance: Number(byId("seconds").value) });
});

async function keepLive() {
  if (!document.hidden) {
    await refresh();
  }
  setTimeout(keepLive, 1000);
}
document.addEventListener("visibilitychange", () => document.hidden || refresh());
keepLive();

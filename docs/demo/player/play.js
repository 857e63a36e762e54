// Replace the text of the recorded session by a player. Without scripts, the text stays.
"use strict";
(function () {
  const place = document.getElementById("session");
  const script = document.currentScript;
  if (!place || !script || !window.AsciinemaPlayer) return;
  const sheet = document.createElement("link");
  sheet.rel = "stylesheet";
  sheet.href = new URL("asciinema-player.css", script.src).href;
  const player = document.createElement("div");
  player.setAttribute("role", "region");
  player.setAttribute("aria-label", "Recorded session in a terminal; its text follows");
  place.before(player);
  const text = document.createElement("details");
  const title = document.createElement("summary");
  title.textContent = "The session as text";
  text.append(title);
  place.before(text);
  text.append(place);
  // The player reads its colours from the style sheet.
  sheet.addEventListener("load", function () {
    const cast = new URL("../session.cast", script.src).href;
    window.AsciinemaPlayer.create(cast, player, {
      fit: "width", idleTimeLimit: 1, poster: "npt:0:12", preload: true, rows: 32,
    });
  });
  document.head.append(sheet);
})();

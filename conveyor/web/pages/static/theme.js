// Before anything is drawn, so that nothing flashes: the theme that was chosen here, or the system's.
"use strict";
try {
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // The browser keeps nothing: the system's theme it is.
}

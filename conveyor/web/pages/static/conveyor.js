// What pages gain from a browser with scripts: local times, ages that go on, parts that refresh themselves, copying,
// and a switch for the theme. Without it, everything is there all the same.
"use strict";

const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

function told(seconds) {
  const [length, unit] = UNITS.find(([each]) => Math.abs(seconds) >= each) ?? UNITS.at(-1);
  return `${Math.floor(Math.abs(seconds) / length)} ${unit}`;
}

const local = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

function tellTimes(within) {
  const now = Date.now();
  for (const time of within.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    if (!time.dataset.utc) {
      time.dataset.utc = time.title;
      time.title = `${local.format(moment)} here, ${time.title}`;
    }
    if (time.dataset.age !== undefined) {
      const seconds = (now - moment) / 1000;
      const text = seconds < -1 ? `in ${told(seconds)}` : `${told(Math.max(0, seconds))} ${time.dataset.age}`.trim();
      if (time.textContent !== text) time.textContent = text;
    } else if (!time.dataset.local) {
      time.dataset.local = "1";
      time.textContent = local.format(moment);
    }
  }
}

function offerCopies(within) {
  if (!navigator.clipboard) return;
  for (const button of within.querySelectorAll("button[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }
}

// The parts of a page that change while it is open. The page is fetched anew, which costs nothing where nothing has
// changed, and the parts that differ are put in the place of the old ones.
const before = new Map();

function remember(parts) {
  for (const part of parts) before.set(part.id, part.outerHTML);
}

function inUse(part) {
  const selection = document.getSelection();
  const selected = selection && !selection.isCollapsed && selection.rangeCount && part.contains(selection.anchorNode);
  const focused = document.activeElement;
  return selected || (part.contains(focused) && focused.matches("input, select, textarea, summary, pre"));
}

function swap(fresh) {
  for (const part of fresh.querySelectorAll("[data-part]")) {
    const old = document.getElementById(part.id);
    if (!old || before.get(part.id) === part.outerHTML) continue;
    // What has a life of its own there may keep its place: the viewer of logs does.
    if (!old.dispatchEvent(new CustomEvent("swap", { cancelable: true, detail: part })) || inUse(old)) continue;
    before.set(part.id, part.outerHTML);
    const within = old.contains(document.activeElement) ? document.activeElement : null;
    const open = [...old.querySelectorAll("details")].map((each) => each.open);
    const made = document.importNode(part, true);
    made.querySelectorAll("details").forEach((each, number) => { each.open = open[number] ?? each.open; });
    old.replaceWith(made);
    tellTimes(made);
    offerCopies(made);
    if (within?.href) made.querySelector(`a[href="${CSS.escape(within.getAttribute("href"))}"]`)?.focus();
  }
}

// Gives after how many seconds it is to be done again.
async function fetchParts() {
  const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-cache" });
  if (!answer.ok) return undefined;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  swap(fresh);
  return fresh.querySelector("main")?.dataset.refresh;
}

function refresh() {
  const main = document.querySelector("main[data-refresh]");
  if (!main) return;
  remember(document.querySelectorAll("[data-part]"));
  const again = async () => {
    try {
      if (!document.hidden) main.dataset.refresh = (await fetchParts()) ?? main.dataset.refresh;
    } catch {
      // The server does not answer just now; the next time it may.
    }
    setTimeout(again, Number(main.dataset.refresh) * 1000);
  };
  setTimeout(again, Number(main.dataset.refresh) * 1000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) fetchParts().catch(() => {}); });
}

function offerThemes() {
  const button = document.getElementById("theme");
  if (!button) return;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const current = () => document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light");
  const tell = () => { button.textContent = current() === "dark" ? "Light" : "Dark"; };
  button.hidden = false;
  button.addEventListener("click", () => {
    const chosen = current() === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = chosen;
    try {
      localStorage.setItem("theme", chosen);
    } catch {
      // It lasts as long as this page.
    }
    tell();
  });
  system.addEventListener("change", tell);
  tell();
}

refresh();
tellTimes(document);
setInterval(() => { if (!document.hidden) tellTimes(document); }, 1000);
offerCopies(document);
offerThemes();

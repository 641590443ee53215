// Shows a log of any size: only the lines in sight are in the page, and few more are in memory.
"use strict";

(() => {
  const PAGE = 100; // lines that are fetched at once: never more than one answer holds
  const PAGES_KEPT = 60;
  // Browsers know no higher elements; of what is longer, the scroll bar shows the share.
  const MAX_HEIGHT = 6_000_000;
  const RETRY_MS = 3000;
  const WORDS = { error: "looks like an error: ", cause: "cause: " };

  class Viewer {
    constructor(root) {
      this.root = root;
      this.api = root.dataset.log;
      this.text = root.querySelector(".log-text");
      this.form = root.querySelector(".log-find");
      this.status = root.querySelector(".log-status");
      this.pages = new Map(); // number -> lines, the one used last at the end
      this.wanted = new Set();
      this.total = 0;
      this.top = 0; // the first line in sight, from 0, with its fraction
      this.here = 0; // the line that was gone to
      this.found = [];
      this.place = -1;
      this.last = 0; // offset up to which the log was followed
      this.generation = 0; // of the log; another one may take its place
      this.part = root.closest("[data-part]");
      this.left = new AbortController(); // tells what listens elsewhere that this is no more
      this.start();
    }

    async start() {
      const answer = await this.fetch("lines?last=1");
      if (!answer) return;
      this.total = answer.total;
      this.last = answer.next;
      this.prepare();
      const named = this.named();
      if (named) {
        this.form.follow.checked = false;
        this.go(named);
      } else if (this.form.follow.checked || this.root.dataset.running === "no") {
        this.toEnd();
      }
      this.form.hidden = false;
      this.listen();
      this.draw();
      this.tell(this.ended(answer.outcome));
      if (answer.outcome === null || this.root.dataset.running === "yes") this.follow();
      this.root.dataset.ready = "yes";
    }

    prepare() {
      const line = this.text.querySelector(".log-line");
      this.height = (line && line.getBoundingClientRect().height) || 20;
      this.space = document.createElement("div");
      this.space.className = "log-space";
      this.rows = document.createElement("div");
      this.rows.className = "log-rows";
      this.lines = document.createElement("div");
      this.rows.append(this.lines);
      this.space.append(this.rows);
      this.text.replaceChildren(this.space);
      this.resize();
      this.root.querySelector(".log-without").remove();
      this.part?.addEventListener("swap", (event) => this.refreshed(event));
    }

    listen() {
      this.text.addEventListener("scroll", () => this.scrolled());
      this.text.addEventListener("keydown", (event) => this.key(event));
      new ResizeObserver(() => this.draw()).observe(this.text);
      const named = () => this.named() && this.go(this.named());
      window.addEventListener("hashchange", named, { signal: this.left.signal });
      this.form.addEventListener("submit", (event) => {
        event.preventDefault();
        this.search();
      });
      this.form.follow.addEventListener("change", () => {
        if (this.form.follow.checked) this.toEnd();
      });
      this.form.addEventListener("click", (event) => this.act(event.target.dataset.do));
    }

    act(what) {
      if (what === "next") this.step(1);
      else if (what === "previous") this.step(-1);
      else if (what === "error") this.nextError();
    }

    key(event) {
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      const acts = {
        "/": () => this.form.query.focus(),
        n: () => this.step(1),
        N: () => this.step(-1),
        e: () => this.nextError(),
        f: () => this.form.follow.click(),
        Home: () => this.go(1, false),
        End: () => this.toEnd(),
      };
      const act = acts[event.key];
      if (!act) return;
      event.preventDefault();
      act();
    }

    // Where things are.

    visible() {
      return Math.max(1, Math.floor(this.text.clientHeight / this.height));
    }

    maxTop() {
      return Math.max(0, this.total - this.visible());
    }

    spaceHeight() {
      return Math.min(this.total * this.height, MAX_HEIGHT);
    }

    isScaled() {
      return this.total * this.height > MAX_HEIGHT;
    }

    maxScroll() {
      return Math.max(0, this.spaceHeight() - this.text.clientHeight);
    }

    scrollOf() {
      if (!this.isScaled()) return this.top * this.height;
      return this.maxTop() ? (this.top / this.maxTop()) * this.maxScroll() : 0;
    }

    scrolled() {
      const now = this.text.scrollTop;
      const moved = now - this.scroll;
      if (Math.abs(moved) < 1) return;
      if (!this.isScaled()) {
        this.top = now / this.height;
      } else if (Math.abs(moved) < 2 * this.text.clientHeight) {
        // A wheel, a finger or a key: by lines, however little of the whole that is.
        this.top += moved / this.height;
      } else {
        this.top = (now / this.maxScroll()) * this.maxTop();
      }
      this.top = Math.min(Math.max(this.top, 0), this.maxTop());
      this.scroll = now;
      this.form.follow.checked = this.root.dataset.running === "yes" && this.top >= this.maxTop() - 1;
      this.draw();
    }

    named() {
      const match = /^#L(\d{1,15})$/.exec(location.hash);
      return match ? Number(match[1]) : 0;
    }

    go(line, mark = true) {
      if (mark) this.here = line;
      this.form.follow.checked = false;
      const first = Math.ceil(this.top) + 1;
      if (!mark || line < first || line > first + this.visible() - 2) {
        this.top = Math.min(Math.max(0, line - 1 - (mark ? Math.floor(this.visible() / 3) : 0)), this.maxTop());
      }
      this.draw();
    }

    toEnd() {
      if (this.root.dataset.running === "yes") this.form.follow.checked = true;
      this.top = this.maxTop();
      this.draw();
    }

    // What is in sight.

    draw() {
      if (this.drawing) return;
      this.drawing = requestAnimationFrame(() => {
        this.drawing = 0;
        this.drawNow();
      });
    }

    // The box takes what its lines need, up to what the style allows: how many are in sight depends on it.
    resize() {
      this.space.style.height = `${this.spaceHeight()}px`;
    }

    drawNow() {
      this.resize();
      this.top = this.form.follow.checked ? this.maxTop() : Math.min(this.top, this.maxTop());
      const scroll = this.scrollOf();
      if (Math.abs(scroll - this.text.scrollTop) >= 1) this.text.scrollTop = scroll;
      this.scroll = this.text.scrollTop;
      const first = Math.floor(this.top);
      const last = Math.min(this.total, first + this.visible() + 2);
      const rows = [];
      for (let number = first + 1; number <= last; number += 1) rows.push(this.row(number));
      const focused = document.activeElement && document.activeElement.hash;
      const held = this.rows.contains(document.activeElement);
      this.lines.replaceChildren(...rows);
      this.rows.style.height = `${Math.min(this.text.clientHeight, this.spaceHeight())}px`;
      this.lines.style.transform = `translateY(${-(this.top - first) * this.height}px)`;
      if (held) (this.rows.querySelector(`a[href="${focused}"]`) || this.text).focus({ preventScroll: true });
    }

    row(number) {
      const line = this.line(number);
      const row = document.createElement("div");
      row.className = "log-line";
      const link = document.createElement("a");
      link.className = "log-number";
      link.href = `#L${number}`;
      link.textContent = String(number);
      link.setAttribute("aria-label", `Line ${number}`);
      const code = document.createElement("code");
      row.append(link, code);
      row.classList.toggle("log-found", this.foundSet !== undefined && this.foundSet.has(number));
      row.classList.toggle("log-here", number === this.here);
      if (line) this.fill(row, code, line);
      return row;
    }

    fill(row, code, line) {
      if (line.mark) row.classList.add(`log-${line.mark}`);
      if (WORDS[line.mark]) code.append(span("log-hidden", WORDS[line.mark]));
      for (const [text, style] of line.runs || [[line.text, ""]]) code.append(style ? span(style, text) : text);
      if (line.cut) code.append(span("log-cut", ` … ${line.cut} more bytes`));
    }

    line(number) {
      const page = Math.floor((number - 1) / PAGE);
      const lines = this.pages.get(page);
      const line = lines && lines[(number - 1) % PAGE];
      if (lines) this.keep(page, lines);
      if (!line) this.want(page);
      return line;
    }

    keep(page, lines) {
      this.pages.delete(page);
      this.pages.set(page, lines);
      while (this.pages.size > PAGES_KEPT) this.pages.delete(this.pages.keys().next().value);
    }

    async want(page) {
      if (this.wanted.has(page)) return;
      this.wanted.add(page);
      const generation = this.generation;
      // Of what is scrolled past nothing is fetched.
      await new Promise((done) => setTimeout(done, 30));
      const seen = Math.floor(this.top / PAGE);
      if (Math.abs(page - seen) <= 2 + this.visible() / PAGE) {
        const answer = await this.fetch(`lines?line=${page * PAGE + 1}&count=${PAGE}`);
        if (answer && generation === this.generation) this.take(answer.lines);
      }
      this.wanted.delete(page);
      this.draw();
    }

    take(lines) {
      for (const line of lines) {
        const page = Math.floor((line.number - 1) / PAGE);
        const known = this.pages.get(page) || [];
        known[(line.number - 1) % PAGE] = line;
        this.keep(page, known);
        this.total = Math.max(this.total, line.number);
      }
    }

    // What is written now.

    follow() {
      if (this.left.signal.aborted) return;
      const source = new EventSource(`${this.api}/events?offset=${this.last}`);
      this.source = source;
      const on = (kind, act) => source.addEventListener(kind, (event) => act(JSON.parse(event.data)));
      on("lines", (data) => {
        this.last = data.next;
        this.take(data.lines);
        this.draw();
      });
      on("partial", (data) => {
        this.take(data.lines);
        this.draw();
      });
      on("replaced", () => {
        this.generation += 1;
        this.pages.clear();
        Object.assign(this, { total: 0, top: 0, last: 0, found: [], foundSet: undefined });
        this.tell("another log is in its place");
        this.draw();
      });
      on("end", (data) => this.finish(source, this.ended(data.outcome)));
      on("gone", () => this.finish(source, "the log is gone: retention removed it"));
      source.addEventListener("open", () => this.tell("live"));
      source.addEventListener("error", () => {
        this.tell("the connection broke; it is tried again");
        if (source.readyState !== EventSource.CLOSED) return;
        source.close();
        setTimeout(() => this.follow(), RETRY_MS);
      });
    }

    finish(source, told) {
      source.close();
      this.root.dataset.running = "no";
      this.form.follow.checked = false;
      this.pages.clear(); // the lines of the cause are marked only now
      this.tell(told);
      this.draw();
    }

    ended(outcome) {
      return outcome ? `${this.total.toLocaleString()} lines; the attempt has ended: ${outcome}` : "";
    }

    // Another attempt, while the page is open.

    // The page was made anew: only the log of another attempt takes this one's place, and not under somebody's eyes.
    refreshed(event) {
      const attempt = event.detail.dataset.attempt;
      const isOther = attempt !== this.part.dataset.attempt;
      if (isOther && !this.isRead()) {
        this.leave(attempt);
        return;
      }
      event.preventDefault();
      if (isOther) this.offer(event.detail);
    }

    // Whether somebody is at a certain place of it, or about to look for one.
    isRead() {
      const selection = document.getSelection();
      const selected = !selection.isCollapsed && this.root.contains(selection.anchorNode);
      return selected || this.form.query.value !== "" || this.top < this.maxTop() - 1;
    }

    leave(attempt) {
      this.left.abort();
      this.source?.close();
      if (this.named()) history.replaceState(null, "", location.pathname + location.search);
      const before = link(`${this.page()}/view`, `The log of attempt ${this.part.dataset.attempt}`);
      tellNews(`Attempt ${attempt} has begun, and this is its log. `, before);
    }

    offer(fresh) {
      const attempt = fresh.dataset.attempt;
      this.offered = fresh;
      if (this.offeredAttempt === attempt) return;
      this.offeredAttempt = attempt;
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = `Show the log of attempt ${attempt}`;
      button.addEventListener("click", () => {
        this.leave(this.offered.dataset.attempt);
        const part = document.importNode(this.offered, true);
        this.part.replaceWith(part);
        part.querySelector(".log-text")?.focus();
      });
      tellNews(`Attempt ${attempt} has begun. `, button);
    }

    page() {
      return this.api.replace(/^\/api\/v1/, "");
    }

    // What is looked for.

    async search() {
      const query = this.form.query.value;
      this.found = [];
      this.foundSet = undefined;
      this.place = -1;
      if (!query) return this.tell("") || this.draw();
      this.tell("searching …");
      const parameters = new URLSearchParams({ query, regex: this.form.regex.checked });
      const answer = await this.fetch(`search?${parameters}`);
      if (!answer) return undefined;
      this.complete = answer.complete;
      this.found = answer.matches.map((match) => match.number);
      this.foundSet = new Set(this.found);
      for (const button of this.form.querySelectorAll("[data-do=next], [data-do=previous]")) {
        button.disabled = !this.found.length;
      }
      if (!this.found.length) {
        this.tell(answer.complete ? "not found" : `not found up to line ${answer.searched}: it takes too long`);
        return this.draw();
      }
      const after = this.found.findIndex((number) => number > this.top);
      this.place = (after < 0 ? 0 : after) - 1;
      return this.step(1);
    }

    step(by) {
      if (!this.found.length) return;
      this.place = (this.place + by + this.found.length) % this.found.length;
      this.go(this.found[this.place]);
      this.tell(`${this.place + 1} of ${this.found.length}${this.complete ? "" : " and more"} lines`);
    }

    async nextError() {
      const began = this.here || Math.floor(this.top);
      const found = (await this.errorAfter(began)) || (began && (await this.errorAfter(0)));
      if (!found) return this.tell("no line looks like an error");
      this.go(found);
      return this.tell(`line ${found}`);
    }

    // The server gives up after some seconds, and says how far it came.
    async errorAfter(after) {
      for (let complete = false; !complete; ) {
        this.tell(`searching after line ${after} …`);
        const answer = await this.fetch(`search?errors=true&most=1&after=${after}`);
        if (!answer || answer.searched === after) return 0;
        if (answer.matches.length) return answer.matches[0].number;
        ({ complete, searched: after } = answer);
      }
      return 0;
    }

    async fetch(path) {
      try {
        const answer = await fetch(`${this.api}/${path}`, { headers: { accept: "application/json" } });
        const said = await answer.json();
        if (answer.ok) return said;
        this.tell(said.detail ? `${said.title}: ${said.detail}` : said.title);
      } catch {
        this.tell("the server does not answer; try it again");
      }
      return null;
    }

    tell(text) {
      this.status.textContent = text;
    }
  }

  function span(name, text) {
    const made = document.createElement("span");
    made.className = name;
    made.textContent = text;
    return made;
  }

  function link(href, text) {
    const made = document.createElement("a");
    made.href = href;
    made.textContent = text;
    return made;
  }

  function tellNews(...what) {
    document.querySelector(".log-news")?.replaceChildren(...what);
  }

  // A log that begins while the page is open comes with a refreshed part.
  const start = () => {
    for (const root of document.querySelectorAll("[data-log]:not([data-started])")) {
      root.dataset.started = "yes";
      new Viewer(root);
    }
  };
  start();
  new MutationObserver(start).observe(document.querySelector("main") || document.body, { childList: true, subtree: true });
})();

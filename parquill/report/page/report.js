"use strict";
// Filters, sorts and pages what is already there; without it the page shows everything.
// Texts of the output are read and written as text only, never as markup.
(() => {
  const byId = (id) => document.getElementById(id);
  const all = (selector, from = document) => Array.from(from.querySelectorAll(selector));
  const counted = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;

  for (const element of all(".js")) element.hidden = false;
  theme();
  gallery();
  if (byId("table")) table();

  function theme() {
    const button = byId("theme"), root = document.documentElement;
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
    const tell = () => { button.textContent = isDark() ? "Light" : "Dark"; };
    button.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; tell(); });
    dark.addEventListener("change", tell);
    tell();
  }

  function gallery() {
    const buttons = all(".choices button"), cards = all(".card");
    for (const button of buttons) {
      button.addEventListener("click", () => {
        const group = button.dataset.group;
        for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
        let shown = 0;
        for (const card of cards) {
          card.hidden = group !== "" && !JSON.parse(card.dataset.groups).includes(group);
          shown += card.hidden ? 0 : 1;
        }
        byId("cards-shown").textContent = `${counted(shown, "row")} shown`;
      });
    }
  }

  function table() {
    const PAGE = 25;
    const element = byId("table"), body = element.tBodies[0], heads = all("th", element.tHead);
    const rows = all("tr", body).map((row, at) => ({ row, at, text: row.textContent.toLowerCase() }));
    let order = rows, matching = rows, page = 0, column = -1, direction = 1;

    heads.forEach((head, at) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        direction = column === at ? -direction : 1;
        column = at;
        heads.forEach((other, place) => {
          other.setAttribute("aria-sort", place !== at ? "none" : direction > 0 ? "ascending" : "descending");
        });
        sort();
      });
    });

    function key(entry) {
      const cell = entry.row.cells[column];
      return cell.dataset.number === undefined ? cell.textContent : Number(cell.dataset.number);
    }

    function compare(one, two) {
      const a = key(one), b = key(two);
      if (typeof a === "number" && typeof b === "number") return a - b;
      return String(a).localeCompare(String(b), "en", { numeric: true });
    }

    function sort() {
      order = [...rows].sort((one, two) => direction * compare(one, two) || one.at - two.at);
      for (const { row } of order) body.append(row);
      filter();
    }

    function filter() {
      const words = byId("words").value.toLowerCase().split(/\s+/).filter(Boolean), status = byId("status").value;
      matching = order.filter(({ row, text }) =>
        (status === "" || row.dataset.status === status || row.dataset.kind === status)
        && words.every((word) => text.includes(word)));
      page = 0;
      show();
    }

    function show() {
      const first = page * PAGE, shown = new Set(matching.slice(first, first + PAGE));
      for (const entry of rows) entry.row.hidden = !shown.has(entry);
      byId("back").disabled = page === 0;
      byId("next").disabled = first + PAGE >= matching.length;
      byId("rows-shown").textContent = matching.length === 0
        ? "No row fits"
        : `${(first + 1).toLocaleString("en")} to ${(first + shown.size).toLocaleString("en")} of ${counted(matching.length, "row")}`;
    }

    // A cell that a spreadsheet would run as a formula begins with an apostrophe instead.
    function cell(text) {
      const formula = /^[\s\u00a0\ufeff]*[=+\-@\t\r\n|%\uff1d\uff0b\uff0d\uff20]/.test(text) && !/^-?[\d.,]+$/.test(text);
      return `"${(formula ? "'" + text : text).replaceAll('"', '""')}"`;
    }

    function csv() {
      const lines = [heads, ...matching.map(({ row }) => Array.from(row.cells))];
      return lines.map((cells) => cells.map((one) => cell(one.textContent.trim())).join(",")).join("\r\n") + "\r\n";
    }

    byId("save").addEventListener("click", () => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob(["\ufeff", csv()], { type: "text/csv" }));
      link.download = "rows.csv";
      link.click();
      URL.revokeObjectURL(link.href);
    });
    byId("search").addEventListener("submit", (event) => event.preventDefault());
    byId("words").addEventListener("input", filter);
    byId("status").addEventListener("change", filter);
    byId("back").addEventListener("click", () => { page -= 1; show(); });
    byId("next").addEventListener("click", () => { page += 1; show(); });
    show();
  }
})();

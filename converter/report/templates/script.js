"use strict";
// The page is complete without this: it lets tables be sorted, shows names on hover at once, and prints all tables.
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
      const compare = (a, b) => {
        const [x, y] = [Number(key(a).replace("inf", "Infinity")), Number(key(b).replace("inf", "Infinity"))];
        return Number.isNaN(x) || Number.isNaN(y) ? key(a).localeCompare(key(b)) : x === y ? 0 : x - y;
      };
      const rows = [...table.tBodies[0].rows].sort(compare);
      table.tBodies[0].append(...(down ? rows.reverse() : rows));
    });
  });
}

const tip = document.getElementById("tip");
document.addEventListener("pointermove", (event) => {
  const title = event.target.closest("svg *")?.querySelector("title");
  tip.hidden = !title;
  if (title) {
    tip.textContent = title.textContent;
    const left = Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8);
    const above = event.clientY + 16 + tip.offsetHeight > innerHeight;
    tip.style.left = `${Math.max(left, 0)}px`;
    tip.style.top = `${event.clientY + (above ? -tip.offsetHeight - 8 : 16)}px`;
  }
});

addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => (one.open = true)));

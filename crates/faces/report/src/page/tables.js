// Tables with headings that sort, and with a button in place of a silent cut.
/** By the table's key: the column that sorts, its direction, and whether all rows are shown. */
const sorting = new Map();

/** Fills a table. A row has cells and may be chosen; a column has a name, a kind, and may be left out. */
function fillTable(table, { key, columns, rows, first, sort = null }) {
  // Without a heading that was clicked, rows stay as the answer gives them: most important first.
  const how = sorting.get(key) || { column: sort, down: true, all: false };
  sorting.set(key, how);
  const used = columns.map((column, index) => ({ index, name: column[0], kind: column[1], out: column[2] })).filter(column => !column.out);
  const sorted = how.column === null ? rows : [...rows].sort((a, b) => compare(a.cells[how.column], b.cells[how.column]) * (how.down ? -1 : 1));
  const shown = how.all ? sorted : sorted.slice(0, first);
  const again = () => fillTable(table, { key, columns, rows, first, sort });
  const head = document.createElement('thead'), body = document.createElement('tbody');
  head.append(heading(used, how, again));
  body.append(...shown.map(row => tableRow(used, row)));
  table.replaceChildren(head, body);
  showAll(table, how, rows.length, first, again);
}

const compare = (a, b) => (typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b)));
const isNumber = kind => kind === 'bytes' || kind === 'number' || kind === 'change';

function heading(used, how, again) {
  const line = document.createElement('tr');
  for (const column of used) {
    const cell = document.createElement('th'), button = text('button', column.name);
    const sorts = column.index === how.column;
    cell.scope = 'col';
    cell.className = isNumber(column.kind) ? 'n' : '';
    cell.setAttribute('aria-sort', sorts ? (how.down ? 'descending' : 'ascending') : 'none');
    button.type = 'button';
    button.tabIndex = -1;
    button.addEventListener('click', () => {
      how.down = sorts ? !how.down : isNumber(column.kind); // Numbers begin with the largest, words with A.
      how.column = column.index;
      again();
    });
    cell.append(button);
    line.append(cell);
  }
  return line;
}

function tableRow(used, row) {
  const line = document.createElement('tr');
  for (const { index, kind } of used) line.append(text('td', cellText(row.cells[index], kind), isNumber(kind) ? 'n' : kind));
  if (row.choose) {
    line.className = row.chosen ? 'choice on' : 'choice';
    line.addEventListener('click', row.choose);
  }
  return line;
}

function cellText(value, kind) {
  if (value === null || value === undefined) return '';
  if (kind === 'bytes') return size(value);
  if (kind === 'change') return value === 0 ? '=' : `${value > 0 ? '+' : ''}${size(value)}`;
  return kind === 'number' ? count(value) : String(value);
}

function showAll(table, how, length, first, again) {
  const box = table.closest('.scroll');
  let button = box.nextElementSibling;
  if (!button?.classList.contains('more')) {
    button = text('button', '', 'more');
    button.type = 'button';
    box.after(button);
  }
  button.hidden = length <= first;
  button.textContent = how.all ? `show the first ${first}` : `show all ${count(length)}`;
  button.onclick = () => { how.all = !how.all; again(); };
}

/** A table with its heading, for a place on the page. */
function tableBlock(title, table) {
  const box = document.createElement('div'), scroll = document.createElement('div'), node = document.createElement('table');
  box.className = 'table';
  scroll.className = 'scroll';
  scroll.append(node);
  box.append(text('h2', title), scroll);
  fillTable(node, table);
  return box;
}

/** One stop for the tab key in a table; arrows go through its rows and choose them. */
function wireRows(table) {
  table.tabIndex = 0;
  table.addEventListener('keydown', event => {
    const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!move) return;
    const rows = [...table.querySelectorAll('tbody tr')], at = rows.findIndex(row => row.classList.contains('on'));
    rows[clamp(at + move, 0, rows.length - 1)]?.click();
    event.preventDefault();
    event.stopPropagation();
  });
}

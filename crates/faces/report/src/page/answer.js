// The answer about the run, in the words of `brimful explain` and `brimful fit`, and the tables that belong to it.
function drawAnswer() {
  const one = run();
  el('verdict').textContent = data.diff ? `${data.diff.before} → ${data.diff.after}: ${data.diffSentence}` : one.verdict;
  el('verdict').dataset.tone = data.diff ? 'plain' : one.tone;
  const box = el('answer');
  box.replaceChildren();
  if (data.diff) box.append(comparison(), text('p', `${one.label}: ${one.verdict}`, 'lead'));
  box.append(...[causeOf(one), amounts(one), fixesOf(one), leaksOf(one), triedOf(one), recipeOf(one), techniquesOf(one)].filter(Boolean));
  box.append(...notesOf(one).map(note => text('p', `note: ${note}`, 'keys')));
  box.hidden = !box.childElementCount;
}

function causeOf({ answer }) {
  if (!answer.cause) return null;
  const { cause } = answer, box = document.createElement('div');
  box.append(text('p', `cause: ${cause.class} (confidence ${cause.confidence.toFixed(2)})`, 'lead'));
  const list = document.createElement('ul');
  cause.evidence.forEach(line => list.append(text('li', line)));
  box.append(list);
  return box;
}

/** The ledgers of the peak, and the GPU of a job. */
function amounts(one) {
  const { peak, device, cause } = one.answer;
  if (!peak) return null;
  const rows = [['requested at the peak', peak.requested], ['allocated', peak.allocated], ['reserved', peak.reserved]];
  if (peak.device) rows.push(['needs with the CUDA context', peak.device]);
  const list = rows.map(([name, bytes]) => [name, size(bytes)]);
  if (device?.name) list.push(['GPU', device.name], ['of which programs can use', size(device.usable)]);
  if (cause) list.push(['failed at', `event ${count(cause.event)}`]);
  const place = one.answer.peak_at;
  if (!cause && one.failure) list.push(['fails first at', [`event ${count(one.failure.event)}`, opOf(...one.failure.place)].filter(Boolean).join(', ')]);
  if (place?.module || place?.op) list.push(['the peak is in', one.predicted ? [spoken(place.phase), opOf(place.op, place.module)].filter(Boolean).join(', ') : [spoken(place.phase), place.op, place.module].filter(Boolean).join(' ')]);
  const box = facts(list);
  box.className = 'amounts';
  return box;
}

/** The op of a simulated place and its module, in the words of `brimful fit`. */
const opOf = (op, module) => (op ? `op ${op}${module ? ` of ${module}` : ''}` : module || '');

function fixesOf({ answer }) {
  if (!answer.fixes?.length) return null;
  const box = document.createElement('div'), list = document.createElement('ul');
  for (const fix of answer.fixes) {
    const item = text('li', '');
    item.append(text('code', fix.apply), text('span', `: ${fix.title}`));
    list.append(item);
  }
  box.append(text('h2', 'What helps'), list);
  return box;
}

function leaksOf({ answer }) {
  if (!answer.leaks?.length) return null;
  const rows = answer.leaks.map(leak => ({ cells: [leak.bytes_per_step, leak.held, `${leak.grew} of ${leak.intervals} steps`, leak.owner], choose: () => findOwner(leak.owner) }));
  return tableBlock('Grows from step to step', { key: 'leaks', columns: [['a step', 'bytes'], ['held at the end', 'bytes'], ['grew in', 'word'], ['where', 'text']], rows, first: 8 });
}

/** Filters the page by a place: by its line, which is a part of the frames. */
function findOwner(owner) {
  const line = /\S+:\d+/.exec(owner);
  el('search').value = line ? line[0] : owner;
  el('search').dispatchEvent(new Event('input'));
  el('h-time').scrollIntoView({ block: 'start' });
}

function triedOf({ answer }) {
  if (!answer.what_if?.length) return null;
  const base = answer.what_if[0].peak.reserved;
  const verdict = fits => (fits === true ? 'fits' : fits === false ? 'out of memory' : '');
  const rows = answer.what_if.map(what => ({ cells: [what.conf || 'default settings', what.peak.reserved, what.peak.reserved - base, what.retries, verdict(what.fits)] }));
  const known = answer.what_if.some(what => what.fits !== null);
  return tableBlock('The same requests replayed', { key: 'tried', columns: [['PYTORCH_CUDA_ALLOC_CONF', 'code'], ['reserved peak', 'bytes'], ['change', 'change'], ['retries', 'number'], [known ? 'verdict' : '', 'word']], rows, first: 8 });
}

function recipeOf({ answer }) {
  if (!answer.recipe) return null;
  const box = document.createElement('div');
  box.append(text('p', `recipe: ${answer.recipe.join(' · ')}`));
  const assumed = answer.assumed.map(one => `${one.key}=${one.value}${one.why === 'the default' ? '' : ` (${one.why})`}`);
  if (assumed.length) box.append(text('p', `assumed: ${assumed.join(', ')}`, 'keys'));
  return box;
}

function techniquesOf({ answer }) {
  if (!answer.techniques?.length) return null;
  const words = { fits: 'yes', 'does-not-fit': 'no', 'too-close': 'too close', 'no-device': '' };
  const rows = answer.techniques.map(row => ({ cells: [row.peak.device ?? row.peak.reserved, row.saved, words[row.verdict], row.keeps_result, row.technique, row.cost] }));
  return tableBlock('What would help', { key: 'techniques', columns: [['needs', 'bytes'], ['saved', 'bytes'], ['fits', 'word'], ['results', 'word'], ['technique', 'text'], ['cost', 'text']], rows, first: 3 });
}

const notesOf = one => [...(one.answer.partial ? ['only a part of the file could be read'] : []), ...(one.answer.notes || []), ...one.notes];

/** What changed between two runs: peaks, purposes, places. */
function comparison() {
  const { diff } = data, box = document.createElement('div');
  const ledgers = ['requested', 'allocated', 'reserved'].map(name => ({ cells: [diff.peak[name][0], diff.peak[name][1], diff.peak[name][1] - diff.peak[name][0], name] }));
  const columns = [['before', 'bytes'], ['after', 'bytes'], ['change', 'change']];
  box.append(tableBlock('Peaks', { key: 'peaks', columns: [...columns, ['ledger', 'word']], rows: ledgers, first: 3 }));
  const shares = diff.composition.map(one => ({ cells: [...one.bytes, one.change, spoken(one.category)] }));
  box.append(tableBlock('By purpose', { key: 'shares', columns: [...columns, ['for', 'word']], rows: shares, first: 13 }));
  const places = diff.places.map(one => ({ cells: [...one.bytes, one.change, one.kind, spoken(one.category), `${one.blocks[0]} → ${one.blocks[1]}`, whereText(one.place)] }));
  if (places.length) box.append(tableBlock('By place', { key: 'places', columns: [...columns, ['', 'word'], ['for', 'word'], ['blocks', 'word'], ['where', 'text']], rows: places, first: 15 }));
  return box;
}

/** The tables below the flame graph. */
function drawTables() {
  const { answer } = run(), box = el('tables');
  box.replaceChildren();
  if (answer.owners?.length) {
    const rows = answer.owners.map(one => ({ cells: [one.bytes, one.blocks, spoken(one.category), one.owner], choose: () => findOwner(one.owner) }));
    box.append(tableBlock('Lines that hold the peak', { key: 'owners', columns: [['size', 'bytes'], ['blocks', 'number'], ['for', 'word'], ['where', 'text']], rows, first: 12 }));
  }
  const pinned = answer.fragmentation?.pinned || [];
  if (pinned.length) {
    const rows = pinned.map(one => ({ cells: [one.stranded, one.bytes, one.blocks, one.pins[0] ? `${size(one.pins[0].bytes)} ${one.pins[0].module}` : ''] }));
    box.append(tableBlock('Free memory that nothing else could use', { key: 'pinned', columns: [['stranded', 'bytes'], ['in a segment of', 'bytes'], ['blocks', 'number'], ['the largest', 'text']], rows, first: 8 }));
  }
  if (answer.phases?.length) {
    const rows = answer.phases.map(one => ({ cells: [one.requested, one.allocated, one.reserved, spoken(one.phase)] }));
    box.append(tableBlock('Peaks by phase', { key: 'phases', columns: [['requested', 'bytes'], ['allocated', 'bytes'], ['reserved', 'bytes'], ['phase', 'word']], rows, first: 12 }));
  }
  if (answer.basis?.length) {
    const rows = answer.basis.map(one => ({ cells: [one.what, one.basis, one.margin === null ? 'unknown' : `± ${size(one.margin)}`, one.source] }));
    box.append(tableBlock('What the numbers rest on', { key: 'basis', columns: [['number', 'text'], ['basis', 'word'], ['margin', 'word'], ['source', 'text']], rows, first: 12 }));
  }
  box.hidden = !box.childElementCount;
}

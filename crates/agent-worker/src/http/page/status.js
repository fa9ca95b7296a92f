// The status page: asks for /worker and /jobs once a second, and shows the answers. The server filters, sorts
// and cuts the list, so that a refresh costs the same however many jobs there are. Names and errors are those
// of others: they are only ever set as text.

/** Milliseconds from one refresh to the next. */
const INTERVAL = 1000;
/** Milliseconds until a request counts as unanswered; the server answers within 2 s that a worker is silent. */
const TIMEOUT = 5000;
/** Milliseconds without a key until a filter is applied. */
const TYPING = 200;
/** Rows on a page. */
const ROWS = 100;

const byId = (id) => document.getElementById(id);
const put = (node, text) => {
  if (node.textContent !== text) node.textContent = text;
};
const set = (node, name, value) => {
  if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
};
const numbers = new Intl.NumberFormat('en');
const count = (number) => numbers.format(number);
const clock = () => new Date().toLocaleTimeString('en-GB');

/** Which part of the list is shown: the oldest jobs first. */
const list = { filter: '', sort: 'age_seconds', order: 'desc', offset: 0, matching: 0 };
let paused = false;
/** Since when there is no answer. */
let lostAt = null;
let timer;
/** The number of the last refresh: answers to earlier ones are out of date. */
let latest = 0;

// Requests

/** The server's own words on why it has no figures. */
class Refused extends Error {}

async function ask(path) {
  const answer = await fetch(path, { cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT) });
  if (!answer.ok) throw new Refused(await answer.text());
  return answer.json();
}

/** Asks and shows; `after` is called once the list is up to date. */
async function refresh(after) {
  const own = ++latest;
  clearTimeout(timer);
  const began = performance.now();
  const { filter, sort, order, offset } = list;
  const query = new URLSearchParams({ filter, sort, order, offset, limit: ROWS });
  try {
    const [worker, jobs] = await Promise.all([ask('worker'), ask(`jobs?${query}`)]);
    if (own !== latest) return;
    // Jobs have ended, and the page that was shown with them.
    if (jobs.matching > 0 && offset >= jobs.matching) {
      list.offset = lastOffset(jobs.matching);
      refresh(after);
      return;
    }
    showWorkers(worker);
    showJobs(jobs);
    showState(worker);
    after?.();
    const took = performance.now() - began;
    document.body.dataset.refresh = took;
    put(byId('updated'), `Updated at ${clock()} in ${took.toFixed(0)} ms. agent-worker ${worker.sdk_version}`);
  } catch (error) {
    if (own !== latest) return;
    showProblem(error);
  }
  if (!paused && !document.hidden) timer = setTimeout(refresh, INTERVAL);
}

// The state of all

function overall(state, text, stale) {
  const node = byId('state');
  set(node, 'data-state', state);
  // An unchanged text is not set again, so that a screen reader is silent about it.
  put(node, text);
  set(document.body, 'data-stale', stale);
}

function showState(worker) {
  lostAt = null;
  const states = worker.workers.map(stateOf);
  const worst = states.reduce((a, b) => (rank(b.state) > rank(a.state) ? b : a));
  overall(worst.state, worst.text, false);
  const name = nameOf(worker);
  put(byId('name'), name);
  document.title = `${name}: ${worst.text}`;
}

function showProblem(error) {
  lostAt ??= clock();
  const figures = 'the figures are the last known ones';
  const text =
    error instanceof Refused
      ? `No answer of the worker since ${lostAt} (${error.message}); ${figures}`
      : `Not reachable since ${lostAt}: the program has ended, or the network fails; ${figures}`;
  overall('bad', text, true);
  document.title = `${byId('name').textContent}: no answer`;
}

const nameOf = (worker) => worker.agent_name || '(no agent name)';
const rank = (state) => ['ready', 'waiting', 'draining', 'bad'].indexOf(state);

function stateOf({ live, ready, draining, quiet, problem }) {
  if (!live) return { state: 'bad', text: `Not live: ${problem}` };
  if (draining) return { state: 'draining', text: 'Draining: accepts no new jobs' };
  if (quiet) return { state: 'draining', text: 'Quiet: accepts no new jobs until an undrain' };
  if (!ready) return { state: 'waiting', text: `Not ready: ${problem}` };
  return { state: 'ready', text: 'Ready' };
}

// Workers

const kinds = { JT_ROOM: 'rooms', JT_PUBLISHER: 'publishers', JT_PARTICIPANT: 'participants' };
const slotStates = ['offered', 'accepted', 'running', 'backing_off', 'cleaning', 'stuck'];

/** As many copies of a template in a node as there are values, each filled with its own. */
function fill(parent, template, values, show) {
  while (parent.children.length > values.length) parent.lastElementChild.remove();
  while (parent.children.length < values.length) parent.append(byId(template).content.cloneNode(true));
  values.forEach((value, index) => show(parent.children[index], value));
}

function showWorkers({ workers }) {
  fill(byId('workers'), 'worker', workers, (node, worker) => {
    const field = (name) => node.querySelector(`[data-field="${name}"]`);
    const text = (name, value) => put(field(name), value);
    const { slots, max_jobs: most, worker_load: load } = worker;
    const { state, text: stateText } = stateOf(worker);
    text('name', nameOf(worker));
    text('state', stateText);
    set(field('state'), 'data-state', state);
    set(field('slots-meter'), 'max', most);
    set(field('slots-meter'), 'value', slots.used);
    const inUse = slotStates.filter((name) => slots[name] > 0);
    const parts = inUse.map((name) => `${count(slots[name])} ${name.replace('_', ' ')}`);
    text('slots', `${count(slots.used)} of ${count(most)}${parts.length ? `: ${parts.join(', ')}` : ''}`);
    set(field('load-meter'), 'value', load);
    text('load', load.toFixed(2));
    const { jobs_succeeded: succeeded, jobs_failed: failed, job_retries: retries } = worker;
    text('ended', `${count(succeeded)} succeeded, ${count(failed)} failed, ${count(retries)} retries`);
    text('registered', worker.registered ? 'yes' : 'no');
    text('id', worker.worker_id || 'not registered yet');
    text('server', worker.server);
    const deployment = worker.deployment && `, deployment ${worker.deployment}`;
    text('type', `${kinds[worker.worker_type] ?? worker.worker_type}${deployment}`);
    text('uptime', duration(worker.uptime_seconds));
    showTimes(field('launch'), field('buckets'), worker.job_launch_seconds);
  });
}

function showTimes(summary, buckets, { bounds, counts }) {
  const all = counts.reduce((sum, n) => sum + n, 0);
  const label = (index) => (index < bounds.length ? `≤ ${short(bounds[index])}` : `> ${short(bounds.at(-1))}`);
  /** The bucket that this share of all times reaches. */
  const reached = (share) => {
    let left = share * all;
    return counts.findIndex((n) => (left -= n) <= 0);
  };
  put(
    summary,
    all === 0
      ? '(none yet)'
      : `(from the assignment to the first call of the handler): ${count(all)} jobs, half ${label(reached(0.5))}, 95 % ${label(reached(0.95))}`,
  );
  const first = counts.findIndex((n) => n > 0);
  const last = counts.findLastIndex((n) => n > 0);
  const shown = first < 0 ? [] : counts.slice(first, last + 1).map((n, index) => ({ n, label: label(first + index) }));
  const most = Math.max(...counts);
  fill(buckets, 'bucket', shown, (row, { n, label }) => {
    put(row.cells[0], label);
    put(row.cells[1], count(n));
    row.cells[2].firstElementChild.style.setProperty('--share', n / most);
  });
}

// Jobs

const lastOffset = (matching) => Math.max(0, Math.floor((matching - 1) / ROWS) * ROWS);

function showJobs({ total, matching, offset, jobs }) {
  list.matching = matching;
  fill(byId('rows'), 'row', jobs, (row, job) => {
    const [room, state, age, attempts, error, id] = row.cells;
    put(room.firstElementChild, job.room);
    put(room.lastElementChild, job.participant === null ? '' : `for ${job.participant}`);
    put(state, job.state.replace('_', ' '));
    set(state, 'data-state', job.state);
    put(age, duration(job.age_seconds));
    put(attempts, count(job.attempts));
    put(error.firstElementChild, job.last_error ?? '');
    put(id.firstElementChild, job.id);
  });
  const end = offset + jobs.length;
  const filtered = matching === total ? '' : `, filtered from ${count(total)}`;
  const range = jobs.length === 0 ? '0' : `${count(offset + 1)} – ${count(end)}`;
  put(byId('range'), `${range} of ${count(matching)}${filtered}`);
  // They stay in the order of Tab, as a button that is disabled loses the focus.
  set(byId('previous'), 'aria-disabled', offset === 0);
  set(byId('next'), 'aria-disabled', end >= matching);
  const none = byId('none');
  none.hidden = jobs.length > 0;
  put(none, total === 0 ? 'No job holds a slot.' : 'No job has this text.');
  for (const column of document.querySelectorAll('[data-sort]')) {
    if (column.dataset.sort !== list.sort) column.removeAttribute('aria-sort');
    else set(column, 'aria-sort', list.order === 'asc' ? 'ascending' : 'descending');
  }
}

// Times

/** Seconds in the two largest units. */
function duration(seconds) {
  const units = [['d', 86400], ['h', 3600], ['min', 60], ['s', 1]];
  const at = Math.max(0, units.findIndex(([, size]) => seconds >= size));
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const [[unit, size], [lower, lowerSize]] = units.slice(at);
  return `${Math.floor(seconds / size)} ${unit} ${Math.floor((seconds % size) / lowerSize)} ${lower}`;
}

/** The bound of a bucket. */
const short = (seconds) =>
  seconds < 1 ? `${+(seconds * 1000).toFixed(1)} ms` : seconds < 60 ? `${seconds} s` : `${seconds / 60} min`;

// Keys and buttons

/** After what a person did: the list is announced, which it is not while it changes by itself. */
const changed = () => refresh(() => put(byId('announcement'), `Jobs ${byId('range').textContent}`));

function turn(pages) {
  const offset = Math.min(Math.max(0, list.offset + pages * ROWS), lastOffset(list.matching));
  if (offset === list.offset) return;
  list.offset = offset;
  changed();
}

let typing;
function applyFilter() {
  clearTimeout(typing);
  if (byId('filter').value === list.filter) return;
  list.filter = byId('filter').value;
  list.offset = 0;
  changed();
}

byId('filter').addEventListener('input', () => {
  clearTimeout(typing);
  typing = setTimeout(applyFilter, TYPING);
});
byId('filter').addEventListener('keydown', ({ key }) => {
  if (key === 'Enter') applyFilter();
});

byId('previous').addEventListener('click', () => turn(-1));
byId('next').addEventListener('click', () => turn(1));
byId('pages').addEventListener('keydown', (event) => {
  const pages = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
  if (pages === undefined) return;
  event.preventDefault();
  turn(pages);
});

for (const column of document.querySelectorAll('[data-sort]')) {
  column.firstElementChild.addEventListener('click', () => {
    const { sort } = column.dataset;
    list.order = list.sort === sort && list.order === 'asc' ? 'desc' : 'asc';
    list.sort = sort;
    list.offset = 0;
    changed();
  });
}

byId('pause').addEventListener('click', () => {
  paused = !paused;
  set(byId('pause'), 'aria-pressed', paused);
  if (paused) clearTimeout(timer);
  else refresh();
});

document.addEventListener('visibilitychange', () => {
  if (!document.hidden && !paused) refresh();
});

refresh();

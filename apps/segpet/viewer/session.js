// A study in the mode: what happens on entering it, when its images hang, and on leaving.

import { ask, path, Refusal, tell } from './api.js';
import { listenToPresses } from './click-tool.js';
import { Labelmap } from './labelmap.js';
import { PLANES } from './layout.js';
import { click, save } from './actions.js';
import { register } from './looks.js';
import { failed, flushLater, flushSoon, links, show } from './requests.js';
import { services } from './ohif.js';
import { listenToKeys } from './shortcuts.js';
import { change, hear, state } from './state.js';
import { activate, activeTool, redrawMarks } from './tools.js';

const SEEN_EVERY = 60_000;
const PAUSE = 120_000; // ms without a change, after which a draft is saved
const STYLE = { renderOutline: true, outlineWidth: 1.5, activeSegmentOutlineWidthDelta: 1.5, fillAlpha: 0.28 };

const undo = []; // what to call on leaving
let entries = 0;
let pause = 0;

/** Entering the mode: before anything is loaded. */
export const enter = () => register();

/** Ask the server what it knows of the studies that are opened; the images hang only then. */
export async function prepare(studyUids) {
  const nothing = { study: null, head: null, aim: { number: null }, error: null };
  change({ phase: 'opening', ...nothing, client: clientName() });
  try {
    const { name: user, role } = await ask('GET', 'me');
    change({ user, role, ...(user && { client: user }) });
    const lists = await Promise.all(studyUids.map(uid => ask('GET', `studies?study_uid=${encodeURIComponent(uid)}`)));
    const [first] = lists.flatMap(list => list.studies);
    const strategies = lists[0]?.strategies ?? [];
    const chosen = localStorage.getItem('segpet.strategy');
    change({ strategies, strategy: strategies.includes(chosen) ? chosen : null });
    if (!first) {
      change({ phase: 'absent' });
      return;
    }
    const study = await ask('GET', path('studies', first.id));
    change({ study, label: study.labels[0]?.name ?? null, method: firstMethod(study) });
  } catch (error) {
    change({ phase: 'absent' });
    failed(error);
  }
}

/** The images are about to hang: open the session and show it. */
export async function start() {
  const { study, client } = state;
  const displaySet = study && services().displaySetService.getDisplaySetsForSeries(study.id)?.[0];
  if (!displaySet) {
    if (state.phase === 'opening') {
      change({ phase: 'absent' });
    }
    return;
  }
  const entry = (entries += 1);
  const labelmap = new Labelmap(`segpet-${Date.now()}-${entry}`, STYLE);
  try {
    await hung(displaySet, entry);
    if (entry !== entries) {
      return; // left before the images came
    }
    change({ displaySet: displaySet.displaySetInstanceUID });
    await labelmap.create(displaySet, 'SegPET');
    links.labelmap = labelmap;
    links.displaySet = displaySet;
    keepAttached(labelmap);
    links.path = path('studies', study.id, 'sessions', client);
    show(await open(study));
    change({ phase: study.read_only ? 'review' : 'ready' });
    listen();
  } catch (error) {
    change({ phase: 'absent' });
    failed(error);
  }
}

async function open(study) {
  if (!study.read_only) {
    return ask('PUT', links.path, {});
  }
  try {
    return await ask('GET', path('studies', study.id, 'label'));
  } catch (error) {
    if (error instanceof Refusal && error.status === 404) {
      return {
        head: { complete: true, slices: [], objects: [], patient: null, saved: null, warnings: [] },
        masks: new Map(),
      };
    }
    throw error;
  }
}

/** Resolves when OHIF has taken the series' images into a viewport (before, it does not know their order), or on leaving. */
async function hung(displaySet, entry) {
  while (!displaySet.imageIds?.length && entry === entries) {
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}

/** Viewports come and go (another stage, another layout): the mask goes with them. */
function keepAttached(labelmap) {
  const { cornerstoneViewportService } = services();
  const attach = ({ viewportId }) => PLANES.includes(viewportId) && labelmap.attach(viewportId).catch(failed);
  const { unsubscribe } = cornerstoneViewportService.subscribe(
    cornerstoneViewportService.EVENTS.VIEWPORT_DATA_CHANGED,
    attach,
  );
  undo.push(unsubscribe);
  PLANES.forEach(viewportId => attach({ viewportId }));
}

function listen() {
  undo.push(listenToKeys());
  undo.push(hear(showCursor), () => delete document.body.dataset.segpetCursor);
  undo.push(hear(patch => ['head', 'aim', 'waiting', 'hidden'].some(key => key in patch) && redrawMarks()));
  if (state.phase !== 'ready') {
    return;
  }
  undo.push(listenToPresses(click));
  activate('click');
  change({ tool: 'click' });
  const toolbar = services().toolbarService;
  const { unsubscribe } = toolbar.subscribe(toolbar.EVENTS.TOOL_BAR_STATE_MODIFIED, () => {
    const tool = activeTool();
    if (tool !== state.tool) {
      change({ tool });
    }
  });
  undo.push(
    hear(patch => 'head' in patch && saveAfterPause()),
    () => clearTimeout(pause),
  );
  const timer = setInterval(seen, SEEN_EVERY);
  const asking = setInterval(() => askMethods(() => clearInterval(asking)), 3000);
  document.addEventListener('pointerdown', flushLater);
  document.addEventListener('pointerup', flushSoon);
  window.addEventListener('pagehide', goodbye);
  undo.push(
    unsubscribe,
    () => clearInterval(timer),
    () => clearInterval(asking),
    () => document.removeEventListener('pointerdown', flushLater),
    () => document.removeEventListener('pointerup', flushSoon),
    () => window.removeEventListener('pagehide', goodbye),
  );
}

/** The cursor over the planes says what a click means (panel.css). */
function showCursor() {
  if (state.tool === 'click') {
    document.body.dataset.segpetCursor = state.positive ? 'positive' : 'negative';
  } else {
    delete document.body.dataset.segpetCursor;
  }
}

/** Leaving the mode. */
export function leave() {
  entries += 1;
  if (state.phase === 'ready') {
    goodbye();
  }
  undo.splice(0).forEach(call => call());
  links.comparison?.dispose();
  links.labelmap?.dispose();
  Object.assign(links, { labelmap: null, comparison: null, displaySet: null, path: null });
  change({
    phase: 'opening',
    study: null,
    head: null,
    aim: { number: null },
    comparison: null,
    order: { key: 'number' },
    marked: [],
    waiting: [],
    unsent: [],
    tool: null,
  });
}

/** Ask again while weights are being loaded: which they are is known only then. */
async function askMethods(done) {
  if (!state.study?.methods.some(method => method.state === 'loading')) {
    done();
    return;
  }
  try {
    change({ study: await ask('GET', path('studies', state.study.id)) });
  } catch {
    // Asked again in a moment.
  }
}

async function seen() {
  try {
    const { others } = await ask('POST', `${links.path}/seen`, {});
    change({ head: { ...state.head, others } });
  } catch {
    // A server that is away for a minute is told of at the next click, not here.
  }
}

/** Others need not wait three minutes to hear that this client has gone; its work is in the journal already. */
function goodbye() {
  if (wantsDraft()) {
    tell('POST', `${links.path}/label`, { revision: state.head.revision, status: 'draft', replace: false });
  }
  tell('DELETE', `${links.path}/seen`, {});
}

function saveAfterPause() {
  clearTimeout(pause);
  pause = setTimeout(() => wantsDraft() && save('draft'), PAUSE);
}

/** Whether there is something new, and no label but a draft that it would stand beside. */
function wantsDraft() {
  const { head } = state;
  return Boolean(head?.objects.length) && !head.saved?.unchanged && (head.saved?.status ?? 'draft') === 'draft';
}

function firstMethod(study) {
  const usable = study.methods.find(({ state }) => state === 'ready' || state === 'loading');
  if (!usable) {
    return null;
  }
  const threshold = usable.thresholds?.[0];
  return { method: usable.name, threshold: threshold?.name ?? null, value: threshold?.value ?? null };
}

/** The name under which this browser annotates; labels have it as author. */
function clientName() {
  const known = localStorage.getItem('segpet.client');
  if (/^[A-Za-z0-9._@-]{1,64}$/.test(known ?? '')) {
    return known;
  }
  const name = `reader-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
  localStorage.setItem('segpet.client', name);
  return name;
}

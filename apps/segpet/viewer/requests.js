// The one line of requests that change a session: each waits for the one before, and carries the revision it left.

import { ask, Refusal } from './api.js';
import { writeFrame } from './frames.js';
import { nextPaint } from './planes.js';
import { change, objectOf, state } from './state.js';
import { text } from './texts.js';

/** What belongs to the open session: its labelmap, the comparison's, the display set, the path of its routes. */
export const links = { labelmap: null, comparison: null, displaySet: null, path: null };

const PAUSE = 350; // ms after a brush stroke, in which the next one may come

let line = Promise.resolve();
let soon = 0;

/** Say in the panel what went wrong. */
export function failed(error) {
  if (!(error instanceof Refusal)) {
    console.error('segpet:', error);
  }
  const sentence = error instanceof Refusal ? (error.status ? error.message : text('offline')) : text('fault');
  change({ error: sentence });
}

/**
 * Do something after all that was asked for before; errors become a sentence in the panel.
 *
 * @param {string} running key of the text that says what is going on
 * @param {() => Promise} job
 * @returns {Promise<boolean>} whether it went well
 */
export function inTurn(running, job) {
  const turn = line.then(async () => {
    change({ running, error: null, notice: null });
    try {
      await job();
      return true;
    } catch (error) {
      await (error instanceof Refusal && error.status === 409 ? movedOn(error) : failed(error));
      return false;
    } finally {
      change({ running: null });
      performance.mark('segpet.done');
    }
  });
  line = turn;
  return turn;
}

/** Change the session: send what was painted, then the request with the revision that there is now, and show the reply. */
export async function send(method, route, body) {
  await flush();
  const { revision } = state.head;
  const begun = performance.now();
  const reply =
    method === 'DELETE'
      ? await ask(method, `${links.path}/${route}?revision=${revision}`)
      : await ask(method, `${links.path}/${route}`, { ...body, revision });
  measure('segpet.reply', begun);
  show(reply);
  return reply.head;
}

/** Show what the server answered: masks in the planes, objects and numbers in the panel. */
export function show({ head, masks }) {
  const begun = performance.now();
  const painted = nextPaint();
  const { labelmap } = links;
  labelmap.paint(head.objects.map(({ number, color }) => [number, color]));
  labelmap.apply(head.complete, masks);
  const known = new Set(state.head?.objects.map(({ number }) => number));
  if (!head.objects.some(({ number }) => number === state.selected)) {
    state.aim.number = null;
  }
  change({
    head,
    marked: state.marked.filter(number => head.objects.some(object => object.number === number)),
    warnings: [...head.warnings, ...changedObjects(head).flatMap(({ warnings }) => warnings)],
  });
  if (!state.selected) {
    aimAt(state.aim); // the number of the next new object may be another one now
  }
  measure('segpet.work', begun);
  painted.then(() => measure('segpet.repaint', begun));
  return head.objects.filter(({ number }) => !known.has(number));
}

const changedObjects = ({ changed = [], objects }) => objects.filter(({ number }) => changed.includes(number));

/** Choose an object for clicks and brush; null: the next click or stroke begins a new one. */
export const select = number => aimAt({ number: objectOf(number) ? number : null });

/** Have clicks and brush go to an object, see `state.aim`. */
export function aimAt(aim) {
  const object = objectOf(aim.number);
  change({ aim, ...(object && { label: object.label }) });
  if (object) {
    links.labelmap?.activate(object.number);
  } else {
    // A stroke with a number that no object has begins a new one.
    const next = state.head.next ?? 255;
    const label = state.study.labels.find(({ name }) => name === state.label);
    links.labelmap?.paint(label ? [[next, label.color]] : []);
    links.labelmap?.activate(next);
  }
}

/** Send what the brush changed since the last reply, if it changed anything. */
export async function flush() {
  const painted = links.labelmap.edited();
  if (!painted.size) {
    return;
  }
  const { revision, objects } = state.head;
  const before = links.labelmap.sent(painted);
  const frame = writeFrame({ revision, label: state.label }, painted);
  const reply = await ask('PUT', `${links.path}/slices`, frame).catch(error => {
    if (error.passes) {
      links.labelmap.unsent(before); // the next request takes the strokes along
    }
    throw error;
  });
  show(reply);
  const made = state.head.objects.find(({ number }) => !objects.some(object => object.number === number));
  if (made && !state.selected && !state.waiting.length) {
    select(made.number);
  }
}

/** Send the strokes of the brush when it has rested for a moment. */
export function flushSoon() {
  flushLater();
  soon = setTimeout(() => links.labelmap?.isEdited() && inTurn('painting', flush), PAUSE);
}

/** Wait with it while the mouse is down: half a stroke would be a step of its own. */
export const flushLater = () => clearTimeout(soon);

/** The session is elsewhere than this panel thought: show where it is, and say so. */
async function movedOn(error) {
  try {
    const reply = await ask('GET', links.path);
    const moved = reply.head.revision !== state.head.revision;
    show(reply);
    change({ error: moved ? text('movedOn') : error.message });
  } catch (second) {
    failed(second);
  }
}

function measure(name, start) {
  performance.measure(name, { start, end: performance.now() });
}

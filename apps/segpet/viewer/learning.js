// What the server learns from saved labels and accepted impressions: asked for while the panel's part about it is open.

import { ask } from './api.js';
import { failed } from './requests.js';
import { change, state } from './state.js';

const OFTEN = 1500; // ms, while a training runs
const SELDOM = 15_000;

let timer = 0;
let watched = false;

/** Ask now and then from here on, or no longer. */
export function watch(wanted) {
  watched = wanted;
  clearTimeout(timer);
  if (wanted) {
    refresh();
  }
}

function heard(learning) {
  change({ learning, stopping: state.stopping && learning.training.status === 'running' });
}

async function refresh() {
  try {
    heard(await ask('GET', 'training'));
  } catch {
    // A server that is away for a moment is told of at the next click, not here.
  }
  again();
}

function again() {
  clearTimeout(timer);
  if (watched) {
    timer = setTimeout(refresh, state.learning?.training.status === 'running' ? OFTEN : SELDOM);
  }
}

async function tell(route, body) {
  change({ error: null });
  try {
    heard(await ask('POST', route, body));
  } catch (error) {
    change({ stopping: false });
    failed(error);
  }
  again();
}

/** Start a training: {mode, labels}, or {trainer: 'impression'}. */
export const start = options => tell('training', options);

/** Go on with the training that was stopped or broken off. */
export const goOn = () => tell('training', { resume: true });

/** Let the training keep its checkpoint and end. */
export function stop() {
  change({ stopping: true });
  return tell('training/stop', {});
}

/** Let a trainer's version answer, or write. */
export const promote = (trainer, version) => tell('weights/promote', { trainer, version });

/** Let the champion before answer again. */
export const rollback = trainer => tell('weights/rollback', { trainer });

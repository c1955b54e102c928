// The report of the open study: findings of its label, an impression as it is written, its check, accepting.

import { ask, path, Refusal } from './api.js';
import { failed } from './requests.js';
import { change, state } from './state.js';
import { language, text } from './texts.js';

const PAUSE = 250; // ms after a key, until what was typed is checked

let writing = null; // what ends the writing
let soon = 0;

/** A report without a word, of a study. */
export const blank = study => ({
  study, // id of the study that it belongs to
  language,
  label: 0, // version of the label that the findings are of
  findings: '',
  impression: '',
  drafted: '', // what the model had written
  model: null, // what writes; null: nothing does
  wrote: '', // what wrote the draft
  marks: [], // {start, end, kind, reason} of what nothing supports
  missing: [], // {lesion, reason} of what is left out
  waiting: null, // how many are before; null: nobody waits
  busy: false,
  accepted: null, // time of the pair that was accepted last, where it is this one
});

const KEPT = 'segpet.report'; // in the tab: texts about a patient must not outlive it

function patch(changes) {
  change({ report: { ...state.report, ...changes } });
  sessionStorage.setItem(KEPT, JSON.stringify({ client: state.client, report: state.report }));
}

/** Show the report of the open study: what was written in it before a reload, else what the server has. */
export function open() {
  const { client, report } = JSON.parse(sessionStorage.getItem(KEPT)) ?? {};
  if (client === state.client && report.study === state.study.id && report.impression && !report.accepted) {
    change({ report: { ...report, busy: false, waiting: null, copied: false } });
    checkSoon();
  } else {
    refresh();
  }
}

const route = () => path('studies', state.report.study, 'impression');

/** Ask for findings, and for the impression that was accepted for them; without one, what is there stays. */
export async function refresh(chosen = state.report?.language ?? language) {
  stop();
  const before = state.report;
  change({ report: { ...blank(state.study.id), language: chosen } });
  const { study } = state.report;
  try {
    const { label, findings, accepted, model } = await ask('GET', `${route()}?language=${chosen}`);
    if (study !== state.report.study) {
      return;
    }
    const known = accepted?.language === chosen && accepted.label === label ? accepted : null;
    patch({
      model,
      label,
      findings: known?.findings ?? findings ?? '',
      impression: known?.impression ?? '',
      accepted: known?.time ?? null,
    });
    if (!known && before?.study === study && before.language === chosen) {
      const { impression, drafted, wrote } = before;
      patch({ impression, drafted, wrote });
    }
    checkSoon();
  } catch (error) {
    failed(error);
  }
}

/** Let the server write; what is there is replaced. */
export async function write() {
  stop();
  const { findings, language: spoken, study } = state.report;
  const control = new AbortController();
  writing = control;
  patch({ busy: true, waiting: null, impression: '', drafted: '', marks: [], missing: [], accepted: null });
  try {
    for await (const line of streamed(`/segpet/${route()}/stream`, { findings, language: spoken }, control.signal)) {
      if (study !== state.report.study) {
        return;
      }
      heard(line);
    }
  } catch (error) {
    if (error.name !== 'AbortError') {
      failed(error);
    }
  } finally {
    if (writing === control) {
      writing = null;
      patch({ busy: false, waiting: null });
    }
  }
}

function heard({ waiting, text: piece, done, error }) {
  if (error) {
    throw new Refusal(500, error);
  }
  if (waiting !== undefined) {
    patch({ waiting: waiting || null });
  } else if (piece !== undefined) {
    patch({ impression: state.report.impression + piece, waiting: null });
  } else if (done) {
    const { marks, missing } = done.check;
    patch({ impression: done.text, drafted: done.text, wrote: done.model, marks, missing });
  }
}

/** The JSON lines of a reply, as they come. */
async function* streamed(url, body, signal) {
  const headers = { 'Content-Type': 'application/json' };
  const reply = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body), signal });
  if (!reply.ok) {
    const { detail } = await reply.json().catch(() => ({}));
    throw new Refusal(reply.status, typeof detail === 'string' ? detail : reply.statusText);
  }
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    const lines = (rest + (value ?? '')).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      yield JSON.parse(line);
    }
    if (done) {
      return;
    }
  }
}

/** End the writing; what came so far stays. */
export function stop() {
  writing?.abort();
  writing = null;
  if (state.report?.busy) {
    patch({ busy: false, waiting: null });
  }
}

/** Take what the reader typed: {findings} or {impression}. */
export function typed(changes) {
  patch({ ...changes, accepted: null });
  checkSoon();
}

function checkSoon() {
  clearTimeout(soon);
  soon = setTimeout(check, PAUSE);
}

async function check() {
  const { impression, findings, language: spoken, busy } = state.report;
  if (busy) {
    return;
  }
  if (!impression.trim()) {
    patch({ marks: [], missing: [] });
    return;
  }
  try {
    const body = { text: impression, findings, language: spoken };
    const { marks, missing } = await ask('POST', `${route()}/check`, body);
    if (impression === state.report.impression) {
      patch({ marks, missing });
    }
  } catch (error) {
    failed(error);
  }
}

/** Keep findings and impression with the label, as a pair to learn from. */
export async function accept() {
  const { language: spoken, label, findings, impression, drafted, wrote } = state.report;
  try {
    const body = { client: state.client, label, language: spoken, findings, impression, drafted, model: wrote };
    const { time } = await ask('PUT', route(), body);
    patch({ accepted: time });
  } catch (error) {
    failed(error);
  }
}

/** Put the impression on the clipboard. */
export async function copy() {
  try {
    await navigator.clipboard.writeText(state.report.impression);
    patch({ copied: true });
    setTimeout(() => patch({ copied: false }), 1500);
  } catch {
    change({ error: text('noClipboard') });
  }
}

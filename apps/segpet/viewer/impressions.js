// The report of the open study: findings of its label, an impression as it is written, its check, accepting.

import { ask, path, reached, Refusal } from './api.js';
import { failed } from './requests.js';
import { change, state } from './state.js';
import { language, text } from './texts.js';

const PAUSE = 250; // ms after a key, until what was typed is checked

let writing = null; // what ends the writing
let soon = 0;
let turns = 0; // counts what was asked for: an answer that something else came after is none any more

/** A report without a word, of a study. */
export const blank = study => ({
  study, // id of the study that it belongs to
  language,
  label: null, // version of the label that the findings are of; null: nothing came yet
  findings: '',
  numbers: [], // of the objects that are lesions 1, 2 and so on of the findings
  impression: '',
  edited: false, // whether the reader typed since it was taken from the label
  drafted: '', // what the model had written
  model: null, // what writes; null: nothing does
  wrote: '', // what wrote the draft
  marks: [], // {start, end, kind, reason} of what nothing supports
  missing: [], // {lesion, reason} of what is left out
  waiting: null, // how many are before; null: nobody waits
  busy: false,
  accepted: null, // time of the pair that was accepted last, where it is this one
});

const LANGUAGES = ['en', 'zh'];

/** Whether the label was saved anew since a report's findings were taken from it. */
export const isStale = ({ label }, saved) => label !== null && label < (saved?.version ?? 0);

/** Where a report is kept that nobody accepted yet: in the tab, as texts about a patient must not outlive it. */
const place = ({ study, language: spoken }) => `segpet.report ${state.client} ${study} ${spoken}`;

function patch(changes) {
  const report = { ...state.report, ...changes };
  change({ report });
  if ((report.impression || report.edited) && !report.accepted) {
    sessionStorage.setItem(place(report), JSON.stringify(report));
  } else {
    sessionStorage.removeItem(place(report));
  }
}

/** Show the open study's report that is kept in a language; returns whether there is one. */
function recall(spoken) {
  const kept = JSON.parse(sessionStorage.getItem(place({ study: state.study.id, language: spoken })));
  if (kept) {
    change({ report: { ...kept, busy: false, waiting: null, copied: false } });
    checkSoon();
  }
  return Boolean(kept);
}

/** Show the report of the open study: what was written in it and not accepted, else what the server has. */
export function open() {
  stop();
  if (![language, ...LANGUAGES].some(recall)) {
    change({ report: blank(state.study.id) });
    refresh();
  }
}

/** Go on in another language; the report in this one is kept. */
export function speak(spoken) {
  stop();
  change({ error: null });
  recall(spoken) || refresh(spoken);
}

const route = () => path('studies', state.report.study, 'impression');

/** Ask for findings, and for the impression that was accepted for them; without one, what is there stays. */
export async function refresh(chosen = state.report.language) {
  stop();
  change({ error: null });
  const { study } = state.report;
  const turn = turns;
  try {
    const { label, findings, numbers, accepted, model } = await ask('GET', `${route()}?language=${chosen}`);
    if (turn !== turns || study !== state.report.study) {
      return; // something else was asked for meanwhile
    }
    const known = accepted?.language === chosen && accepted.label === label ? accepted : null;
    const { language: shown, impression, drafted, wrote } = state.report;
    const stays = !known && shown === chosen && { impression, drafted, wrote };
    patch({
      ...blank(study),
      language: chosen,
      model,
      label,
      numbers,
      findings: known?.findings ?? findings ?? '',
      impression: known?.impression ?? '',
      accepted: known?.time ?? null,
      ...stays,
    });
    checkSoon();
  } catch (error) {
    failed(error);
  }
}

/** Let the server write in the place of what is there, which comes back where nothing came of it. */
export async function write() {
  stop();
  const { drafted, findings, impression, language: spoken, study } = state.report;
  const control = new AbortController();
  writing = control;
  change({ error: null });
  patch({ busy: true, waiting: null });
  let written = '';
  try {
    for await (const line of streamed(`/segpet/${route()}/stream`, { findings, language: spoken }, control.signal)) {
      if (study !== state.report.study) {
        return;
      }
      written += line.text ?? '';
      heard(line, written);
    }
  } catch (error) {
    if (error.name !== 'AbortError') {
      failed(error);
      if (study === state.report.study) {
        patch({ impression, drafted });
        checkSoon();
      }
    }
  } finally {
    if (writing === control) {
      writing = null;
      patch({ busy: false, waiting: null });
    }
  }
}

function heard({ waiting, text: piece, done, error }, written) {
  if (error) {
    throw new Refusal(500, error);
  }
  if (waiting !== undefined) {
    patch({ waiting: waiting || null });
  } else if (piece !== undefined) {
    patch({ impression: written, drafted: '', marks: [], missing: [], accepted: null, waiting: null });
  } else if (done) {
    const { marks, missing } = done.check;
    patch({ impression: done.text, drafted: done.text, wrote: done.model, marks, missing, accepted: null });
  }
}

/** The JSON lines of a reply, as they come. */
async function* streamed(url, body, signal) {
  const headers = { 'Content-Type': 'application/json' };
  const reply = await reached(fetch(url, { method: 'POST', headers, body: JSON.stringify(body), signal }));
  if (!reply.ok) {
    const { detail } = await reply.json().catch(() => ({}));
    throw new Refusal(reply.status, typeof detail === 'string' ? detail : reply.statusText);
  }
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reached(reader.read());
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
  turns += 1;
  writing?.abort();
  writing = null;
  if (state.report?.busy) {
    patch({ busy: false, waiting: null });
  }
}

/** Take what the reader typed: {findings} or {impression}. */
export function typed(changes) {
  patch({ ...changes, edited: true, accepted: null });
  checkSoon();
}

/** Check what stands there, a moment from now. */
export function checkSoon() {
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
    // Findings of an earlier label would support what this one no longer holds.
    const stale = isStale(state.report, state.head?.saved);
    const body = { text: impression, findings: stale ? '' : findings, language: spoken };
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
  change({ error: null });
  try {
    const body = { client: state.client, label: label ?? 0, language: spoken, findings, impression, drafted, model: wrote };
    const { time } = await ask('PUT', route(), body);
    if (findings === state.report.findings && impression === state.report.impression) {
      patch({ accepted: time });
    }
  } catch (error) {
    failed(error);
  }
}

/** Put the impression on the clipboard. */
export async function copy() {
  change({ error: null });
  try {
    await navigator.clipboard.writeText(state.report.impression);
    patch({ copied: true });
    setTimeout(() => patch({ copied: false }), 1500);
  } catch {
    change({ error: text('noClipboard') });
  }
}

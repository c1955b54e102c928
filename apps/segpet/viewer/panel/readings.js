// Independent readings of the study side by side, for reviewers: how they agree, and one of them to go on from.

import { html } from '../vendor/preact-htm.js';
import { restore } from '../actions.js';
import { ask, path } from '../api.js';
import { failed } from '../requests.js';
import { change } from '../state.js';
import { text } from '../texts.js';

const refresh = async study => {
  try {
    change({ readings: { study: study.id, ...(await ask('GET', path('studies', study.id, 'agreement'))) } });
  } catch (error) {
    failed(error);
  }
};

export function Readings({ state }) {
  const { study, head, role, phase } = state;
  const shown = state.readings?.study === study.id ? state.readings : { readings: [], pairs: [] };
  return (
    role !== 'annotator' &&
    head.saved &&
    html`<details class="segpet-report" data-test="readings" onToggle=${({ target }) => target.open && refresh(study)}>
      <summary>${text('readings')}</summary>
      ${shown.readings.length < 2 && html`<p class="segpet-quiet">${text('readOnce')}</p>`}
      ${shown.readings.map(
        ({ version, author, status }) => html`<div class="segpet-line">
        <span>${[author, text(`status.${status}`), `v${version}`].join(' · ')}</span>
        ${phase === 'ready' && html`<button class="segpet-link" onClick=${() => restore(version)}>${text('take')}</button>`}
      </div>`,
      )}
      ${shown.pairs.map(pair => html`<p class="segpet-quiet segpet-small">${inWords(pair)}</p>`)}
    </details>`
  );
}

function inWords({ readers: [first, second], matched, only, dice, tmtv_difference_ml: more }) {
  const ml = `${more < 0 ? '−' : '+'}${Math.abs(more).toFixed(1)}`;
  const counts = { first, second, both: matched.length, one: only[0].length, other: only[1].length };
  return text('agree', { ...counts, dice: dice === null ? '–' : dice.toFixed(2), ml });
}

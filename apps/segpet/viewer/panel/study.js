// Which study this is, what its numbers are, and who else has it open.

import { html } from '../vendor/preact-htm.js';
import { change } from '../state.js';
import { text } from '../texts.js';

export function Study({ state }) {
  const { study, head } = state;
  const status = head.saved?.status ?? study.status;
  const others = head.others ?? study.open ?? [];
  return html`<header class="segpet-study">
    <div class="segpet-line">
      <h2 title=${study.title}>${study.title}</h2>
      ${study.tracer && html`<span class="segpet-chip">${study.tracer}</span>`}
      <span class="segpet-chip" data-status=${status}>${text(`status.${status}`)}</span>
      <button class="segpet-icon" title=${`${text('shortcuts')} (?)`} onClick=${() => change({ help: !state.help })}>?</button>
    </div>
    <p class="segpet-quiet" data-test="preflight">${study.preflight}</p>
    ${others.length > 0 && html`<p class="segpet-note">${text('openBy')}: ${others.join(', ')}</p>`}
    ${
      state.phase === 'review' &&
      html`<p class="segpet-note" data-test="read-only">${text('readOnly')}
      ${!head.saved && !head.objects.length && html` ${text('noLabel')}`}</p>`
    }
  </header>`;
}

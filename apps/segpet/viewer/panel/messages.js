// What went wrong and what has to be decided; each in one sentence.

import { html } from '../vendor/preact-htm.js';
import { save, sendAgain, takeUnsent } from '../actions.js';
import { change } from '../state.js';
import { text } from '../texts.js';

export function Messages({ state }) {
  const { error, conflict, unsent, warnings } = state;
  return html`<div class="segpet-messages" aria-live="polite">
    ${
      error &&
      html`<p class="segpet-message" data-kind="error" role="alert">${error}
      <button class="segpet-icon" title=${text('close')} onClick=${() => change({ error: null })}>×</button></p>`
    }
    ${
      unsent.length > 0 &&
      html`<div class="segpet-message" data-kind="error" data-test="unsent">${text('unsent', { count: unsent.length })}
      <div class="segpet-line">
        <button class="segpet-button" data-test="send-again" onClick=${sendAgain}>${text('sendAgain')}</button>
        <button class="segpet-button" onClick=${takeUnsent}>${text('dropUnsent')}</button>
      </div></div>`
    }
    ${
      conflict &&
      html`<div class="segpet-message" data-kind="error" role="alert">${text('conflict')}
      <div class="segpet-line">
        <button class="segpet-button" onClick=${() => save(conflict, true)}>${text('replace')}</button>
        <button class="segpet-button" onClick=${() => change({ conflict: null })}>${text('cancel')}</button>
      </div></div>`
    }
    ${warnings?.map(warning => html`<p class="segpet-message" data-kind="warning">${warning}</p>`)}
  </div>`;
}

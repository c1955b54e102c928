// What went wrong and what has to be decided; each in one sentence.

import { html } from '../vendor/preact-htm.js';
import { save, saveWithout, sendAgain, takeUnsent } from '../actions.js';
import { change } from '../state.js';
import { text } from '../texts.js';

export function Messages({ state }) {
  const { error, conflict, head, unseen, unsent, warnings } = state;
  const proposed = unseen && head.patient.proposed; // none any more: the question has answered itself
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
    ${
      proposed > 0 &&
      html`<div class="segpet-message" data-kind="warning" role="alert" data-test="unseen">${text('unseen', { count: proposed })}
      <div class="segpet-line">
        <button class="segpet-button segpet-primary" data-test="save-without" onClick=${() => saveWithout(unseen)}>
          ${text('saveWithout')}</button>
        <button class="segpet-button" onClick=${() => change({ unseen: null })}>${text('cancel')}</button>
      </div></div>`
    }
    ${warnings?.map(warning => html`<p class="segpet-message" data-kind="warning">${warning}</p>`)}
  </div>`;
}

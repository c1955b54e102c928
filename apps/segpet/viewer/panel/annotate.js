// Labels, the meaning of a click, tools, the method that answers, and what it is doing.

import { html } from '../vendor/preact-htm.js';
import * as actions from '../actions.js';
import { choices, isChosen } from '../methods.js';
import { objectOf } from '../state.js';
import { spoken, text } from '../texts.js';

const TOOLS = [
  ['click', 'C'],
  ['brush', 'B'],
  ['eraser', 'E'],
  ['window', 'W'],
];

export const rgb = color => `rgb(${color.join(',')})`;

export function Annotate({ state }) {
  return html`<section class="segpet-annotate">
    <${Labels} state=${state} />
    <div class="segpet-line">
      <${Sign} positive=${state.positive} />
      <div class="segpet-segments" role="group" aria-label=${text('tool')}>
        ${TOOLS.map(
          ([tool, key]) => html`<button aria-pressed=${state.tool === tool} data-test=${`tool-${tool}`}
          title=${`${text(tool)} (${key})`} onClick=${() => actions.chooseTool(tool)}>${text(tool)}</button>`,
        )}
      </div>
    </div>
    <${Methods} state=${state} />
    <${Target} state=${state} />
    <div class="segpet-line segpet-actions">
      <button class="segpet-button" data-test="undo" disabled=${!state.head.can_undo} title="Ctrl Z"
        onClick=${actions.undoStep}>↶ ${text('undo')}</button>
      <button class="segpet-button" data-test="redo" disabled=${!state.head.can_redo} title="Ctrl Shift Z"
        onClick=${actions.redoStep}>↷ ${text('redo')}</button>
      <button class="segpet-button" data-test="new" title="N" onClick=${actions.newObject}>+ ${text('newObject')}</button>
      <button class="segpet-button" data-test="propose" title=${`${text('proposeHint')} (P)`}
        onClick=${actions.propose}>${text('propose')}</button>
    </div>
  </section>`;
}

function Labels({ state }) {
  return html`<div class="segpet-labels" role="group" aria-label=${text('label')}>
    ${state.study.labels.map(
      ({ name, color }, at) => html`<button class="segpet-label" data-test=${`label-${name}`}
      aria-pressed=${state.label === name} title=${at < 9 ? `${at + 1}` : ''} onClick=${() => actions.chooseLabel(name)}>
      <i style=${{ background: rgb(color) }}></i>${spoken(name)}${at < 9 && html`<kbd>${at + 1}</kbd>`}</button>`,
    )}
  </div>`;
}

function Sign({ positive }) {
  return html`<button class="segpet-sign" data-test="sign" data-positive=${`${positive}`} title=${`${text('flipHint')} (X)`}
    onClick=${actions.flip}><b>${positive ? '+' : '−'}</b>${text(positive ? 'positive' : 'negative')}<kbd>X</kbd></button>`;
}

function Methods({ state }) {
  const all = choices();
  if (!all.some(({ usable }) => usable)) {
    return html`<p class="segpet-note">${text('noMethod')} ${all[0]?.why}</p>`;
  }
  const model = state.study.methods.find(({ weights }) => weights);
  const said = model?.weights
    ? `${text('weights')}: ${model.weights.name} · ${model.weights.digest.slice(0, 8)}`
    : all.find(({ usable }) => !usable)?.why;
  return html`<div>
    <div class="segpet-segments segpet-wide" role="group" aria-label=${text('method')} title=${`${text('key.method')} (V)`}>
      ${all.map(
        choice => html`<button disabled=${!choice.usable} title=${choice.why || `${choice.method} (V)`}
        data-test=${`method-${choice.threshold ?? choice.method}`} aria-pressed=${isChosen(choice)}
        onClick=${() => actions.chooseMethod({ method: choice.method, threshold: choice.threshold, value: choice.value })}>
        ${nameOf(choice)}</button>`,
      )}
    </div>
    <p class="segpet-quiet segpet-small segpet-clip" data-test="weights" title=${said}>${said}</p>
  </div>`;
}

const nameOf = ({ threshold, value }) => (threshold ? text(threshold, { value }) : text('model'));

function Target({ state }) {
  const object = objectOf(state.selected);
  const label = state.study.labels.find(({ name }) => name === (object?.label ?? state.label));
  const said = object
    ? `${text('correcting')} ${object.number} · ${object.name || spoken(object.label)}`
    : text('newNext');
  const doing = state.running ? html`<span class="segpet-spinner"></span>${text(state.running)}` : seconds(state);
  return html`<div class="segpet-target" data-test="target">
    <i style=${{ background: label && rgb(label.color) }}></i><span>${said}</span>
    <span class="segpet-running" data-test="running">${doing}</span>
  </div>`;
}

const seconds = ({ head }) => (head.seconds?.total ? `${head.seconds.total.toFixed(2)} s` : '');

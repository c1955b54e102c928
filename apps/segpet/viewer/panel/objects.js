// The table of lesions and organs with their numbers, and the patient's totals.

import { html, useEffect, useRef } from '../vendor/preact-htm.js';
import * as actions from '../actions.js';
import { change, inOrder } from '../state.js';
import { language, spoken, text } from '../texts.js';
import { composes } from '../shortcuts.js';
import { rgb } from './annotate.js';

const digits = (value, places) =>
  value === null || value === undefined ? '–' : value.toFixed(value >= 1000 ? 0 : places);

/** Columns by the unit of the numbers: title, key, decimals, what it means. */
function columns(unit) {
  if (unit === 'SUVbw') {
    return [
      ['SUVmax', 'suv_max', 1],
      ['SUVpeak', 'suv_peak', 1],
      ['MTV ml', 'mtv_ml', 1],
      ['TLG g', 'tlg_g', 1],
    ];
  }
  const shown = unit === 'Bq/ml' ? ' Bq/ml' : '';
  return [
    [`max${shown}`, 'max', 0],
    ['peak', 'peak', 0],
    [`${text('volume')} ml`, 'volume_ml', 1],
  ];
}

export function Objects({ state }) {
  const { head, order, study } = state;
  const ready = state.phase === 'ready';
  const shown = columns(study.unit);
  return html`<section class="segpet-objects">
    <div class="segpet-line segpet-title">
      <h3>${text('objects')}</h3>
      ${ready && head.objects.length > 0 && html`<${TableActions} state=${state} />`}
    </div>
    <div class="segpet-scroll">
      <table>
        <thead><tr><${Heading} title=${text('number')} of="number" left=${true} order=${order} />
          <th class="segpet-left">${text('name')}</th>
          ${shown.map(([title, key]) => html`<${Heading} key=${key} title=${title} of=${key} order=${order} />`)}<th></th></tr></thead>
        <tbody>${inOrder().map(
          object => html`<${Row} key=${object.number} object=${object} state=${state}
          shown=${shown} ready=${ready} />`,
        )}</tbody>
      </table>
      ${!head.objects.length && html`<p class="segpet-quiet segpet-alone">${ready ? text('none') : text('noLabel')}</p>`}
    </div>
    <${Totals} patient=${head.patient} />
  </section>`;
}

function Heading({ left, of, order, title }) {
  const chosen = order.key === of;
  const rises = chosen && (of === 'number' || order.rising);
  const turn = () => change({ order: { key: of, rising: chosen && !order.rising } });
  return html`<th class=${left ? 'segpet-left' : ''} aria-sort=${chosen ? (rises ? 'ascending' : 'descending') : 'none'}>
    <button class="segpet-sort" data-test=${`sort-${of}`} title=${text('sort')} onClick=${turn}>${title}</button></th>`;
}

function TableActions({ state: { head, marked } }) {
  const open = head.objects.some(({ status }) => status !== 'accepted');
  const clear = () => window.confirm(text('removeAllSure')) && actions.clear();
  return html`
    ${
      marked.length > 1 &&
      html`<button class="segpet-link" data-test="merge" title="Shift M" onClick=${actions.merge}>
        ${text('merge')} ${marked.join(' + ')}</button>`
    }
    ${
      open &&
      html`<button class="segpet-link" data-test="accept-all" onClick=${actions.acceptAll}>${text('acceptAll')}</button>`
    }
    <button class="segpet-link" data-test="clear" onClick=${clear}>${text('removeAll')}</button>`;
}

const SIGNS = { proposed: '?', draft: '·', accepted: '✓' };

function Row({ object, state, shown, ready }) {
  const { number, label, name, status, edited, covered, warnings } = object;
  const site = language === 'zh' ? object.site_zh : object.site;
  const selected = state.selected === number;
  const row = useRef();
  useEffect(() => {
    if (selected) {
      // What can be done with it stands in the row below.
      row.current.nextElementSibling?.scrollIntoView({ block: 'nearest' });
      row.current.scrollIntoView({ block: 'nearest' });
    }
  }, [selected]);
  const more = [covered && text('covered'), name && spoken(label), site, edited && text('brushed')].filter(Boolean).join(' · ');
  const named =
    state.renaming === number
      ? html`<${Rename} object=${object} />`
      : html`<span class="segpet-name">${name || spoken(label)}</span>`;
  const warned = warnings.length > 0 && html`<b class="segpet-warned" data-test="warned" title=${warnings.join('\n')}>!</b> `;
  const numbers = shown.map(
    ([, key, places]) => html`<td data-key=${key} data-value=${object[key] ?? ''}>${digits(object[key], places)}</td>`,
  );
  return html`<tr ref=${row} data-number=${number} data-status=${status} data-covered=${`${covered}`} aria-selected=${selected}
      onClick=${() => actions.goTo(number)}>
      <td class="segpet-left"><i style=${{ background: rgb(object.color) }}></i>${number}</td>
      <td class="segpet-left" title=${[name || spoken(label), more].filter(Boolean).join(' · ')}>${named}
        <span class="segpet-quiet segpet-small segpet-site">${warned}${more}</span></td>
      ${numbers}
      <td><span class="segpet-dot" data-status=${status} title=${text(status)}>${SIGNS[status]}</span></td>
    </tr>
    ${
      selected &&
      ready &&
      html`<tr class="segpet-row-actions"><td colspan=${shown.length + 3}>
        <${RowActions} object=${object} state=${state} />
        ${state.comparison?.number === number && html`<${Comparison} comparison=${state.comparison} shown=${shown} />`}
      </td></tr>`
    }`;
}

function RowActions({ object: { number, label, status }, state }) {
  const marked = state.marked.includes(number);
  const relabel = ({ target }) => {
    target.blur(); // else it takes the keys that follow
    actions.edit(number, { label: target.value });
  };
  return html`<div class="segpet-line">
    <button class="segpet-link" data-test="accept" title="Enter" onClick=${() => actions.accept()}>
      ${text(status === 'accepted' ? 'unaccept' : 'accept')}</button>
    <button class="segpet-link" data-test="rename" title="R" onClick=${() => change({ renaming: number })}>
      ${text('rename')}</button>
    <select aria-label=${text('label')} value=${label} onChange=${relabel}>
      ${state.study.labels.map(one => html`<option value=${one.name}>${spoken(one.name)}</option>`)}</select>
    <button class="segpet-link" data-test="mark" aria-pressed=${marked} title=${`${text('mark')} (M)`}
      onClick=${() => actions.mark(number)}>${text('merge')}${marked ? ' ✓' : ' …'}</button>
    <button class="segpet-link" data-test="compare" aria-pressed=${Boolean(state.comparison)} title="S"
      onClick=${actions.toggleComparison}>suv_region</button>
    <button class="segpet-link segpet-danger" data-test="remove" title="Delete"
      onClick=${() => actions.remove(number)}>${text('remove')}</button>
  </div>`;
}

function Comparison({ comparison, shown }) {
  const { numbers, dice, threshold, value } = comparison;
  const said = shown.map(([title, key, places]) => `${title} ${digits(numbers[key], places)}`).join(' · ');
  const by = `${text('comparison')} (${text(threshold, { value })})`;
  return html`<p class="segpet-small segpet-comparison" data-test="comparison">
    <i></i>${by}: ${said} · ${text('dice')} ${digits(dice, 2)}</p>`;
}

function Rename({ object }) {
  const field = useRef();
  const shown = object.name || spoken(object.label);
  useEffect(() => field.current.select(), []);
  const done = keep => {
    if (!field.current) {
      return; // taken away after Escape, which takes the focus as well
    }
    const typed = field.current.value.trim();
    const name = typed === shown ? object.name : typed; // the label's own is no name
    change({ renaming: null });
    if (keep && name !== object.name) {
      actions.edit(object.number, { name });
    }
  };
  const pressed = event => {
    if (!composes(event)) {
      (event.key === 'Enter' && field.current.blur()) || (event.key === 'Escape' && done(false));
    }
  };
  // No `value`: a reply that comes meanwhile would bring the old name back.
  return html`<input ref=${field} class="segpet-input" defaultValue=${shown}
    maxlength="64" onClick=${event => event.stopPropagation()} onBlur=${() => done(true)}
    onKeyDown=${pressed} />`;
}

function Totals({ patient }) {
  if (!patient) {
    return null;
  }
  const suv = patient.unit === 'SUVbw';
  const shown = suv
    ? [
        [text('lesions'), patient.count, 0, ''],
        [text('tmtv'), patient.tmtv_ml, 1, 'ml'],
        [text('tlg'), patient.total_tlg_g, 1, 'g'],
        [text('dmax'), patient.dmax_mm, 0, 'mm'],
      ]
    : [
        [text('lesions'), patient.count, 0, ''],
        [text('volume'), patient.volume_ml, 1, 'ml'],
        [text('dmax'), patient.dmax_mm, 0, 'mm'],
      ];
  return html`<dl class="segpet-totals" data-test="totals">
    ${shown.map(
      ([name, value, places, unit]) => html`<div data-value=${value ?? ''}><dt>${name}</dt>
      <dd>${digits(value, places)} <small>${unit}</small></dd></div>`,
    )}
  </dl>
  ${patient.proposed > 0 && html`<p class="segpet-quiet segpet-small" data-test="beside">${text('beside', { count: patient.proposed })}</p>`}`;
}

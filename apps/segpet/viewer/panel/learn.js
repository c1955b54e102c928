// Training on the team's labels and impressions: start and stop, progress and curve, what answers and writes.

import { html, useEffect, useReducer, useRef } from '../vendor/preact-htm.js';
import { goOn, promote, rollback, start, stop, watch } from '../learning.js';
import { text } from '../texts.js';

const MODES = ['decoder', 'lora', 'full'];
const LABELS = ['final', 'all'];
const WIDTH = 240;
const HEIGHT = 56;

const digits = value => (value === undefined || value === null ? '–' : value.toFixed(2));

export function Learn({ state }) {
  const { role, stopping } = state;
  const learning = state.learning && { ...state.learning, read_only: state.learning.read_only || role !== 'admin' };
  const part = useRef();
  const bring = () => part.current.open && part.current.scrollIntoView({ block: 'start' });
  const toggled = ({ target }) => {
    watch(target.open);
    bring();
  };
  useEffect(() => () => watch(false), []);
  useEffect(bring, [Boolean(learning)]); // before its content has come there is nothing to bring into sight
  return html`<details ref=${part} class="segpet-learn" data-test="learn" onToggle=${toggled}>
    <summary>${text('learning')}</summary>
    ${role !== 'admin' && html`<p class="segpet-note">${text('adminsTrain')}</p>`}
    ${learning && html`<${Answers} learning=${learning} /><${Training} learning=${learning} stopping=${stopping} /><${Weights} learning=${learning} /><${Writing} learning=${learning} />`}
  </details>`;
}

function Answers({ learning: { answers, champion, fault } }) {
  const said = answers ? `${answers.name} · ${answers.digest.slice(0, 8)}` : text('noWeights');
  return html`<p class="segpet-small">${text('answering')}: <b data-test="answers" data-version=${answers?.version ?? 0}>${said}</b>
    ${champion !== null && answers && answers.version !== champion && !fault && html` <span class="segpet-note">${text('loading')}</span>`}</p>
    ${fault && html`<p class="segpet-note" data-test="fault">${fault}</p>`}`;
}

function Training({ learning: { training, trainer, read_only: readOnly }, stopping }) {
  const { status, stage, share, epoch, epochs, message, warnings } = training;
  const running = status === 'running';
  const what = training.trainer === 'impression' && html`<span>${text('impression')}:</span>`;
  const step = stage === 'training' && epoch ? `${text('stage.training')} ${epoch}/${epochs}` : text(`stage.${stage}`);
  return html`<div data-test="training" data-status=${status}>
    ${
      running &&
      html`<div class="segpet-line segpet-small">${what}<span>${step}</span>
      <progress class="segpet-space" value=${share} max="1" data-test="progress"></progress><span>${Math.round(share * 100)} %</span></div>`
    }
    ${!running && status !== 'none' && html`<p class="segpet-small">${what} <b>${text(`training.${status}`)}</b> ${message}</p>`}
    ${warnings.map(warning => html`<p class="segpet-note" data-test="training-warning">${warning}</p>`)}
    <${Curve} curve=${training.curve} />
    ${!trainer && html`<p class="segpet-note">${text('noTrainer')}</p>`}
    ${trainer && !readOnly && html`<${Actions} training=${training} stopping=${stopping} />`}
  </div>`;
}

function Actions({ training: { status, resumable }, stopping }) {
  const [options, choose] = useReducer((old, patch) => ({ ...old, ...patch }), { mode: MODES[0], labels: LABELS[0], tracer: null });
  const select = (name, values) => html`<select value=${options[name]} title=${text(`${name}Hint`)} data-test=${`train-${name}`}
    onChange=${({ target }) => {
      target.blur(); // else it takes the keys that follow
      choose({ [name]: target.value });
    }}>${values.map(value => html`<option value=${value}>${text(`${name}.${value}`)}</option>`)}</select>`;
  if (status === 'running') {
    return html`<button class="segpet-button" data-test="train-stop" disabled=${stopping} onClick=${stop}>
      ${text(stopping ? 'stopping' : 'stop')}</button>`;
  }
  const broken = resumable && status !== 'failed';
  return html`<div class="segpet-line">
    ${select('mode', MODES)}${select('labels', LABELS)}
    <label class="segpet-line" title=${text('tracerHint')}>${text('tracer')}
      <input class="segpet-input" maxlength="64" defaultValue=${options.tracer ?? ''} data-test="train-tracer"
        onChange=${({ target }) => choose({ tracer: target.value.trim() || null })} /></label>
    <button class="segpet-button" data-test="train-start" title=${text('trainHint')} onClick=${() => start(options)}>${text('train')}</button>
    ${broken && html`<button class="segpet-button segpet-primary" data-test="train-resume" onClick=${goOn}>${text('goOn')}</button>`}
  </div>`;
}

/** Dice after one click on held-out studies, by epoch; the scale goes from 0 to 1. */
function Curve({ curve }) {
  const points = curve.filter(({ dice }) => dice).map(({ epoch, dice }) => [epoch, dice['1']]);
  if (points.length < 2) {
    return null;
  }
  const last = points.at(-1);
  const at = ([epoch, dice]) => `${((epoch / (last[0] || 1)) * WIDTH).toFixed(1)},${((1 - dice) * HEIGHT).toFixed(1)}`;
  const said = `${text('curve')}: ${digits(points[0][1])} → ${digits(last[1])}`;
  return html`<figure class="segpet-curve" data-test="curve" data-epochs=${points.length - 1}>
    <svg viewBox=${`-14 -6 ${WIDTH + 20} ${HEIGHT + 18}`} role="img" aria-label=${said}>
      <path d=${`M0,0V${HEIGHT}H${WIDTH}`} />
      <text x="-3" y="3" data-end>1</text><text x="-3" y=${HEIGHT} data-end>0</text>
      <text x="0" y=${HEIGHT + 10}>0</text><text x=${WIDTH} y=${HEIGHT + 10} data-end>${text('epochs', { count: last[0] })}</text>
      <polyline points=${points.map(at).join(' ')} /></svg>
    <figcaption class="segpet-quiet segpet-small">${said}</figcaption>
  </figure>`;
}

function Weights({ learning: { versions, champion, damaged, read_only: readOnly } }) {
  if (!versions.length && !damaged.length) {
    return html`<p class="segpet-quiet segpet-small">${text('noVersions')}</p>`;
  }
  const about = ({ mode, studies }) => [
    mode && text(`mode.${mode}`),
    studies.training !== undefined && `${studies.training} + ${studies.validation}`,
  ];
  return html`<${Versions} trainer="segpet" versions=${versions} champion=${champion} damaged=${damaged} readOnly=${readOnly}
    score="1" scored=${text('curve')} about=${about} />
  <p class="segpet-quiet segpet-small">${text('sessionsFinish')}</p>`;
}

/** What writes impressions, and what it may learn from. */
function Writing({ learning: { impression, training, read_only: readOnly } }) {
  const { accepted, champion, damaged, fault, trainer, versions, writes } = impression;
  const about = ({ pairs }) => [pairs && `${pairs.training} + ${pairs.held_out}`];
  return html`<p class="segpet-small">${text('writing')}: <b data-test="writes">${writes ?? '–'}</b></p>
    ${fault && html`<p class="segpet-note">${fault}</p>`}
    <div class="segpet-line segpet-small"><span data-test="accepted" class="segpet-space">${text('acceptedPairs')}: ${accepted}</span>
    ${
      trainer &&
      !readOnly &&
      training.status !== 'running' &&
      html`<button class="segpet-button" data-test="train-impression" title=${text('trainImpressionHint')} disabled=${!accepted}
      onClick=${() => start({ trainer: 'impression' })}>${text('train')}</button>`
    }</div>
    ${versions.length + damaged.length > 0 && html`<${Versions} trainer="impression" versions=${versions} champion=${champion} damaged=${damaged} readOnly=${readOnly}
      score="rouge_l" scored=${text('rouge')} about=${about} />`}`;
}

function Versions({ about, champion, damaged, readOnly, score, scored, trainer, versions }) {
  return html`<table class="segpet-versions"><tbody>${versions.map(
    version => html`<tr key=${version.version} data-version=${version.version}
      data-champion=${`${version.version === champion}`} title=${version.why ?? version.digest}>
      <td class="segpet-left">${version.name}<span class="segpet-quiet segpet-small segpet-site">${about(version)
        .filter(Boolean)
        .join(' · ')}</span></td>
      <td title=${scored}>${digits(version.before[score])} → ${digits(version.after[score])}</td>
      <td>${
        version.version === champion
          ? html`<b>${text('champion')}</b>`
          : !readOnly &&
            html`<button class="segpet-link" data-test=${`promote-${trainer}-${version.version}`}
            onClick=${() => promote(trainer, version.version)}>${text('promote')}</button>`
      }</td></tr>`,
  )}</tbody></table>
  ${damaged.length > 0 && html`<p class="segpet-note" data-test="damaged">${text('damaged')}: ${damaged.join(', ')}</p>`}
  ${
    champion !== null &&
    !readOnly &&
    html`<button class="segpet-link" data-test=${`rollback-${trainer}`} onClick=${() => rollback(trainer)}>${text('rollback')}</button>`
  }`;
}

// The server's routes under /segpet/ (docs/viewer-api.md): JSON both ways, masks as frames.

import { readFrame } from './frames.js';
import { change, state } from './state.js';

/** What the server refused, in one sentence of its own; `status` is the HTTP status, 0 where no answer came. */
export class Refusal extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }

  /** Whether the same request may be taken later: the server was away, busy, or had no room. */
  get passes() {
    return [0, 429, 503, 507].includes(this.status);
  }
}

const PATIENCE = 60_000; // ms in which a busy server is asked again

/**
 * Ask the server; where it is too busy to begin, again when it says so, for a minute at most.
 *
 * @param {string} method GET, POST, PUT, PATCH or DELETE
 * @param {string} path below /segpet/, each part already encoded
 * @param {object|Uint8Array} [body] JSON, or a frame
 * @returns {Promise<object>} JSON, or {head, masks} where the reply is a frame
 * @throws {Refusal}
 */
export async function ask(method, path, body) {
  const until = Date.now() + PATIENCE;
  let reply = await fetched(method, path, body);
  let pause = pauseOf(reply);
  while (pause && Date.now() + pause < until) {
    const { running } = state;
    change({ running: running && 'busy' });
    await new Promise(resolve => setTimeout(resolve, pause));
    if (state.running === 'busy') {
      change({ running });
    }
    reply = await fetched(method, path, body);
    pause = pauseOf(reply);
  }
  if (!reply.ok) {
    const { detail } = await reply.json().catch(() => ({}));
    throw new Refusal(reply.status, typeof detail === 'string' ? detail : reply.statusText);
  }
  if (reply.headers.get('Content-Type')?.startsWith('application/x-segpet-frame')) {
    return readFrame(await reply.arrayBuffer());
  }
  return reply.json();
}

async function fetched(method, path, body) {
  const frame = body instanceof Uint8Array;
  const type = frame ? 'application/x-segpet-frame' : 'application/json';
  return reached(
    fetch(`/segpet/${path}`, {
      method,
      headers: body === undefined ? {} : { 'Content-Type': type },
      body: body === undefined || frame ? body : JSON.stringify(body),
    }),
  );
}

/** What comes over the network; a Refusal of status 0 where the server is away, unless it was we who broke it off. */
export const reached = coming =>
  coming.catch(error => {
    throw error.name === 'AbortError' ? error : new Refusal(0, '');
  });

/** After how many ms a server that is busy, stopping or short of memory wants to be asked again; 0 for other replies. */
function pauseOf(reply) {
  const busy = reply.status === 429 || reply.status === 503;
  return busy ? 1000 * (Number(reply.headers.get('Retry-After')) || 0) : 0;
}

/** Tell the server something on the way out of the page, when no reply can be waited for. */
export function tell(method, path, body) {
  const headers = { 'Content-Type': 'application/json' };
  fetch(`/segpet/${path}`, { method, headers, body: JSON.stringify(body), keepalive: true }).catch(() => {});
}

/** A path of parts, each encoded. */
export const path = (...parts) => parts.map(encodeURIComponent).join('/');

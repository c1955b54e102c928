// The server's routes under /segpet/ (docs/viewer-api.md): JSON both ways, masks as frames.

import { readFrame } from './frames.js';

/** What the server refused, in one sentence of its own; `status` is the HTTP status, 0 where no answer came. */
export class Refusal extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

/**
 * Ask the server.
 *
 * @param {string} method GET, POST, PUT, PATCH or DELETE
 * @param {string} path below /segpet/, each part already encoded
 * @param {object|Uint8Array} [body] JSON, or a frame
 * @returns {Promise<object>} JSON, or {head, masks} where the reply is a frame
 * @throws {Refusal}
 */
export async function ask(method, path, body) {
  const frame = body instanceof Uint8Array;
  const type = frame ? 'application/x-segpet-frame' : 'application/json';
  let reply;
  try {
    reply = await fetch(`/segpet/${path}`, {
      method,
      headers: body === undefined ? {} : { 'Content-Type': type },
      body: body === undefined || frame ? body : JSON.stringify(body),
    });
  } catch {
    throw new Refusal(0, '');
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

/** Tell the server something on the way out of the page, when no reply can be waited for. */
export function tell(method, path, body) {
  const headers = { 'Content-Type': 'application/json' };
  fetch(`/segpet/${path}`, { method, headers, body: JSON.stringify(body), keepalive: true }).catch(() => {});
}

/** A path of parts, each encoded. */
export const path = (...parts) => parts.map(encodeURIComponent).join('/');

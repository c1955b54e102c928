// Masks on the wire: a JSON head, then the slices that it lists, one byte a voxel (docs/viewer-api.md, Frames).

/**
 * @param {ArrayBuffer} body
 * @returns {{head: object, masks: Map<string, Uint8Array>}} masks by SOPInstanceUID, rows x columns each
 */
export function readFrame(body) {
  const length = new DataView(body).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(body, 4, length)));
  const size = head.rows * head.columns;
  const masks = new Map(head.slices.map((uid, at) => [uid, new Uint8Array(body, 4 + length + at * size, size)]));
  return { head, masks };
}

/**
 * @param {object} head
 * @param {Map<string, Uint8Array>} masks by SOPInstanceUID, of one size
 * @returns {Uint8Array}
 */
export function writeFrame(head, masks) {
  const text = new TextEncoder().encode(JSON.stringify({ ...head, slices: [...masks.keys()] }));
  const size = masks.values().next().value?.length ?? 0;
  const body = new Uint8Array(4 + text.length + masks.size * size);
  new DataView(body.buffer).setUint32(0, text.length, true);
  body.set(text, 4);
  let at = 4 + text.length;
  for (const mask of masks.values()) {
    body.set(mask, at);
    at += size;
  }
  return body;
}

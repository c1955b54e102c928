// The planes: bringing a point into view, and knowing when they have been drawn.

import { PLANES } from './layout.js';
import { libraries, viewportOf } from './ohif.js';

/**
 * Bring a point into view in the planes.
 *
 * @param {number[]} point LPS mm
 * @param {string} [but] viewport that stays as it is, since it shows the point already
 */
export function jumpTo(point, but) {
  for (const viewport of PLANES.filter(id => id !== but).map(viewportOf)) {
    if (!viewport) {
      continue;
    }
    viewport.jumpToWorld?.(point);
    bringIn(viewport, point);
    viewport.render();
  }
}

/** Pan until the point is on the canvas, where it is zoomed away. */
function bringIn(viewport, point) {
  const [x, y] = viewport.worldToCanvas(point);
  const { clientWidth, clientHeight } = viewport.canvas;
  if (x >= 0 && y >= 0 && x <= clientWidth && y <= clientHeight) {
    return;
  }
  const [panX, panY] = viewport.getPan();
  viewport.setPan([panX + clientWidth / 2 - x, panY + clientHeight / 2 - y]);
}

/** Resolves when all planes have been drawn after now. */
export function nextPaint() {
  const { cornerstone } = libraries();
  const viewports = PLANES.map(viewportOf).filter(Boolean);
  const drawn = viewports.map(
    ({ element }) =>
      new Promise(resolve =>
        element.addEventListener(cornerstone.Enums.Events.IMAGE_RENDERED, resolve, { once: true }),
      ),
  );
  return Promise.all(drawn);
}

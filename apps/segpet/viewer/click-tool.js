// The tool that turns a press of the left mouse button into a click of the session, and draws the clicks there are.

import { MIP, PLANES } from './layout.js';
import { libraries, viewportOf } from './ohif.js';
import { state } from './state.js';

export const CLICK = 'SegpetClick';

const POSITIVE = 'rgb(74, 222, 128)';
const NEGATIVE = 'rgb(248, 113, 113)';
const WAITING = 'rgb(250, 204, 21)';

/**
 * Call `click` with the point, whether Shift is held, and the viewport's id, when the left button is pressed.
 *
 * Pressing, not releasing, is the click. Cornerstone would tell of it only after 0.4 s, in which it waits for
 * a second one: keys of that time would come first. So it never hears of these presses, nor OHIF of a double
 * click, which is two clicks. Listens until the returned function is called.
 */
export function listenToPresses(click) {
  const take = event => {
    const viewport = PLANES.map(viewportOf).find(one => one?.element.contains(event.target));
    const other = event.button || event.ctrlKey || event.metaKey || event.altKey;
    if (!viewport || other || state.tool !== 'click') {
      return;
    }
    event.stopImmediatePropagation();
    if (event.type === 'mousedown') {
      const { left, top } = viewport.element.getBoundingClientRect();
      const point = viewport.canvasToWorld([event.clientX - left, event.clientY - top]);
      click([...point], event.shiftKey, viewport.id);
    }
  };
  const names = ['mousedown', 'dblclick'];
  names.forEach(name => document.addEventListener(name, take, true));
  return () => names.forEach(name => document.removeEventListener(name, take, true));
}

/** The tool's class; made late, since its base class is OHIF's own cornerstone. */
export function clickTool() {
  const { cornerstone, cornerstoneTools } = libraries();
  const { drawCircle, drawLine } = cornerstoneTools.drawing;

  class SegpetClickTool extends cornerstoneTools.BaseTool {
    constructor(toolProps = {}, defaults = { supportedInteractionTypes: ['Mouse', 'Touch'] }) {
      super(toolProps, defaults);
    }

    renderAnnotation(enabledElement, svgDrawingHelper) {
      const { viewport } = enabledElement;
      const marks = visibleMarks(viewport);
      for (const { key, point, positive, waiting, selected } of marks) {
        const [x, y] = viewport.worldToCanvas(point);
        const color = waiting ? WAITING : positive ? POSITIVE : NEGATIVE;
        const radius = selected || waiting ? 5 : 3.5;
        const style = { color, lineWidth: selected || waiting ? 2 : 1.25 };
        drawCircle(svgDrawingHelper, 'segpet', `${key}-ring`, [x, y], radius, style);
        if (!waiting) {
          drawLine(svgDrawingHelper, 'segpet', `${key}-bar`, [x - radius / 2, y], [x + radius / 2, y], style);
          if (positive) {
            drawLine(svgDrawingHelper, 'segpet', `${key}-stem`, [x, y - radius / 2], [x, y + radius / 2], style);
          }
        }
      }
      return marks.length > 0;
    }
  }

  /** Clicks on this slice (within half of its thickness), in the projection those of the chosen object. */
  function visibleMarks(viewport) {
    if (state.hidden) {
      return [];
    }
    const clicks = (state.head?.objects ?? []).flatMap(({ number, clicks }) =>
      clicks.map((click, at) => ({ ...click, key: `${number}-${at}`, selected: number === state.selected })),
    );
    const waiting = state.waiting.map((point, at) => ({ point, key: `waiting-${at}`, waiting: true }));
    if (viewport.id === MIP) {
      return clicks.filter(click => click.selected);
    }
    const { viewPlaneNormal, focalPoint } = viewport.getCamera();
    const half =
      cornerstone.utilities.getTargetVolumeAndSpacingInNormalDir(viewport, viewport.getCamera())
        .spacingInNormalDirection / 2;
    return [...clicks, ...waiting].filter(({ point }) => {
      const distance = viewPlaneNormal.reduce((sum, n, axis) => sum + n * (point[axis] - focalPoint[axis]), 0);
      return Math.abs(distance) <= half + 1e-3;
    });
  }

  SegpetClickTool.toolName = CLICK;
  return SegpetClickTool;
}

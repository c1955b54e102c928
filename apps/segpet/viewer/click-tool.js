// The tool that turns a press of the left mouse button into a click of the session, and draws the clicks there are.

import { MIP } from './layout.js';
import { libraries } from './ohif.js';
import { state } from './state.js';

export const CLICK = 'SegpetClick';

const POSITIVE = 'rgb(74, 222, 128)';
const NEGATIVE = 'rgb(248, 113, 113)';
const WAITING = 'rgb(250, 204, 21)';

/** What a click does; the session says it, so that this tool knows nothing of the server. */
export const listeners = { click: () => {} };

/** The tool's class; made late, since its base class is OHIF's own cornerstone. */
export function clickTool() {
  const { cornerstone, cornerstoneTools } = libraries();
  const { drawCircle, drawLine } = cornerstoneTools.drawing;

  class SegpetClickTool extends cornerstoneTools.BaseTool {
    constructor(toolProps = {}, defaults = { supportedInteractionTypes: ['Mouse', 'Touch'] }) {
      super(toolProps, defaults);
    }

    // Pressing, not releasing, is the click: nothing else happens on the way, and the answer comes sooner.
    preMouseDownCallback = evt => {
      const { currentPoints, event, viewportId } = evt.detail;
      listeners.click([...currentPoints.world], Boolean(event.shiftKey), viewportId);
      return true;
    };

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

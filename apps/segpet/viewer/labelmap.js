// A mask in OHIF: one labelmap, whose segment index is the object's number. Slices go by SOPInstanceUID: the order of a
// segmentation's images is not that of the volume's, nor that of the server's.

import { libraries, services, viewportOf } from './ohif.js';

const LABELMAP = 'Labelmap';
const OBJECTS = 255;

export class Labelmap {
  /**
   * @param {string} id another one at every entry: cornerstone keeps what it knew of an old one
   * @param {object} style of cornerstone's labelmaps
   */
  constructor(id, style) {
    this.id = id;
    this.style = style;
    this.shown = new Map(); // SOPInstanceUID -> what the server knows of the slice; none where it holds nothing
    this.dirty = false; // somebody else (the stock brush) wrote in it
    this.writing = false;
  }

  /** Make the labelmap of a display set. */
  async create(displaySet, label) {
    const { cornerstone, cornerstoneTools } = libraries();
    const segments = {};
    for (let index = 1; index <= OBJECTS; index++) {
      segments[index] = { segmentIndex: index, label: `${index}`, active: index === 1 };
    }
    await services().segmentationService.createLabelmapForDisplaySet(displaySet, {
      segmentationId: this.id,
      label,
      segments,
    });
    const { imageIds, referencedImageIds } = this.data();
    this.images = new Map(referencedImageIds.map((image, at) => [uidOf(image), imageIds[at]]));
    cornerstoneTools.segmentation.config.style.setStyle({ type: LABELMAP, segmentationId: this.id }, this.style);
    const table = Array.from({ length: OBJECTS + 1 }, (_, number) => (number ? [255, 255, 255, 255] : [0, 0, 0, 0]));
    this.colorTable = cornerstoneTools.segmentation.config.color.addColorLUT(table);
    this.listener = ({ detail }) => {
      this.dirty ||= detail.segmentationId === this.id && !this.writing;
    };
    cornerstone.eventTarget.addEventListener(cornerstoneTools.Enums.Events.SEGMENTATION_DATA_MODIFIED, this.listener);
  }

  data() {
    return services().segmentationService.getSegmentation(this.id)?.representationData[LABELMAP];
  }

  /** Show it in a viewport. */
  async attach(viewportId) {
    const { segmentationService } = services();
    if (
      !viewportOf(viewportId) ||
      segmentationService.getSegmentationRepresentations(viewportId, { segmentationId: this.id }).length
    ) {
      return;
    }
    await segmentationService.addSegmentationRepresentation(viewportId, { segmentationId: this.id, type: LABELMAP });
    libraries().cornerstoneTools.segmentation.config.color.setColorLUT(viewportId, this.id, this.colorTable);
  }

  /** Forget it. */
  dispose() {
    const { cornerstone, cornerstoneTools } = libraries();
    cornerstone.eventTarget.removeEventListener(
      cornerstoneTools.Enums.Events.SEGMENTATION_DATA_MODIFIED,
      this.listener,
    );
    if (this.data()) {
      services().segmentationService.remove(this.id);
    }
  }

  /** Voxels of a slice, rows x columns: cornerstone's own array. */
  pixels(uid) {
    return libraries().cornerstone.cache.getImage(this.images.get(uid))?.voxelManager.getScalarData();
  }

  /**
   * Show what the server answered. What was painted meanwhile, and is not sent yet, stays.
   *
   * @param {boolean} complete slices that are not listed are empty
   * @param {Map<string, Uint8Array>} masks
   */
  apply(complete, masks) {
    const written = complete ? new Map([...[...this.shown.keys()].map(uid => [uid, null]), ...masks]) : masks;
    for (const [uid, mask] of written) {
      const pixels = this.pixels(uid);
      if (!pixels) {
        continue; // the display set is another one than the server's study
      }
      const before = this.shown.get(uid);
      if (this.dirty) {
        merge(pixels, before, mask);
      } else if (mask) {
        pixels.set(mask);
      } else {
        pixels.fill(0);
      }
      if (mask) {
        this.shown.set(uid, mask);
      } else {
        this.shown.delete(uid);
      }
    }
    this.repaint([...written.keys()]);
  }

  /** Have the viewports draw these slices anew. */
  repaint(uids) {
    const { cornerstone, cornerstoneTools } = libraries();
    const layers = Object.values(this.data()?.labelmaps ?? {});
    const order = layers
      .map(({ volumeId }) => volumeId && cornerstone.cache.getVolume(volumeId)?.imageIds)
      .find(Boolean);
    // Frames of the texture are counted in the labelmap volume's own order; without that volume all are sent.
    const frames = order && uids.map(uid => order.indexOf(this.images.get(uid)));
    this.writing = true;
    try {
      cornerstoneTools.segmentation.triggerSegmentationEvents.triggerSegmentationDataModified(
        this.id,
        frames && !frames.includes(-1) ? frames : undefined,
      );
    } finally {
      this.writing = false;
    }
  }

  /** Whether the brush changed anything since the server last knew; cornerstone says so of attaching, too. */
  isEdited() {
    this.dirty &&= [...this.images.keys()].some(uid => this.differs(uid));
    return this.dirty;
  }

  /** What the brush changed since the server last knew: SOPInstanceUID -> a copy of the slice. */
  edited() {
    const uids = this.dirty ? [...this.images.keys()].filter(uid => this.differs(uid)) : [];
    this.dirty = false;
    return new Map(uids.map(uid => [uid, new Uint8Array(this.pixels(uid))]));
  }

  /** Whether a slice is not as the server knows it. */
  differs(uid) {
    const pixels = this.pixels(uid);
    return Boolean(pixels) && differs(pixels, this.shown.get(uid));
  }

  /** Take these slices as known to the server; returns what it knew of them before. */
  sent(masks) {
    const before = new Map([...masks.keys()].map(uid => [uid, this.shown.get(uid)]));
    masks.forEach((mask, uid) => this.shown.set(uid, mask));
    return before;
  }

  /** Take it back that slices were sent: the server still knows what it knew before. */
  unsent(before) {
    before.forEach((mask, uid) => this.shown.set(uid, mask));
    this.dirty = true;
  }

  /** Colour objects, number -> [r, g, b]; seen at the next repaint. */
  paint(colors) {
    // Cornerstone keeps a copy of the table it was given; writing in that one spares a repaint for each colour.
    const table = libraries().cornerstoneTools.segmentation.state.getColorLUT(this.colorTable);
    for (const [number, color] of colors) {
      table[number].splice(0, 3, ...color);
    }
  }

  /** Make an object the one that the brush paints and whose outline is wide. */
  activate(number) {
    const { cornerstoneTools } = libraries();
    cornerstoneTools.segmentation.segmentIndex.setActiveSegmentIndex(this.id, number);
  }

  /** Make it the one of several labelmaps that the brush paints in. */
  front(viewportIds) {
    const { segmentationService } = services();
    viewportIds.filter(viewportOf).forEach(id => segmentationService.setActiveSegmentation(id, this.id));
  }

  /** Show or hide it. */
  setVisible(visible) {
    const { cornerstoneTools } = libraries();
    for (const viewportId of services().segmentationService.getViewportIdsWithSegmentation(this.id)) {
      const specifier = { segmentationId: this.id, type: LABELMAP };
      cornerstoneTools.segmentation.config.visibility.setSegmentationRepresentationVisibility(
        viewportId,
        specifier,
        visible,
      );
    }
  }
}

function uidOf(imageId) {
  const { cornerstone } = libraries();
  return (
    cornerstone.metaData.get('sopCommonModule', imageId)?.sopInstanceUID ?? imageId.match(/\/instances\/([\d.]+)/)?.[1]
  );
}

/** Whether a slice is not what was shown of it (nothing: all zeros). */
function differs(pixels, shown) {
  if (!shown) {
    return holdsSomething(pixels);
  }
  for (let at = 0; at < pixels.length; at++) {
    if (pixels[at] !== shown[at]) {
      return true;
    }
  }
  return false;
}

/** Whether any voxel is not zero; four at a time where the array lies so, since most slices hold nothing. */
function holdsSomething(pixels) {
  const words = pixels.byteOffset % 4 ? 0 : pixels.length >> 2;
  const whole = new Uint32Array(pixels.buffer, words ? pixels.byteOffset : 0, words);
  for (let at = 0; at < words; at++) {
    if (whole[at]) {
      return true;
    }
  }
  for (let at = words * 4; at < pixels.length; at++) {
    if (pixels[at]) {
      return true;
    }
  }
  return false;
}

/** Write a slice over the one that was shown, but not over voxels that were painted since. */
function merge(pixels, before, mask) {
  for (let at = 0; at < pixels.length; at++) {
    if (pixels[at] === (before ? before[at] : 0)) {
      pixels[at] = mask ? mask[at] : 0;
    }
  }
}

import type { LayoutEnd } from '../mirror/registry-copier.js';
import type { CompleteImagesFile } from './complete-images-file.js';
import type { OutputFormat } from './output.js';

/** How the command prints, the layout at one end of its copies, and the memory of earlier runs. */
export interface MirrorOutput {
  readonly output: OutputFormat;
  readonly layout?: LayoutEnd;
  readonly complete?: CompleteImagesFile;
}

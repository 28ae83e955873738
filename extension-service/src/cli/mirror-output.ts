import type { LayoutEnd } from '../mirror/registry-copier.js';
import type { OutputFormat } from './output.js';

/** How the command prints, and the layout at one end of its copies. */
export interface MirrorOutput {
  readonly output: OutputFormat;
  readonly layout?: LayoutEnd;
}

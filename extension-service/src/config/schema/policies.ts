import { choice } from '../../schema/leaves.js';

/** The same keys exist at the top level and in targets. */
export const imageSwapPolicy = (about: string) => choice(['exists', 'always'], about);
export const imageCopyPolicy = (about: string) => choice(['delayed', 'immediate', 'force', 'none'], about);

import { choice } from '../../schema/leaves.js';

/** The same keys stand at the top and in targets. */
export const imageSwapPolicy = (about: string) => choice(['exists', 'always'], about);
export const imageCopyPolicy = (about: string) => choice(['delayed', 'immediate', 'force', 'none'], about);

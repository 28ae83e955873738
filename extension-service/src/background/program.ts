/** The program of the background worker as text, put here by build.mjs; empty where nothing was built. */
export const BACKGROUND_PROGRAM: string = '';

/** The program of the background worker, packed (programs/unpack.ts), put here by build.mjs; empty where nothing was built. */
export const BACKGROUND_PROGRAM: string = '';

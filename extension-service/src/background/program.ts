/** The packed program of the background worker (programs/unpack.ts), inserted by build.mjs; empty without a build. */
export const BACKGROUND_PROGRAM: string = '';

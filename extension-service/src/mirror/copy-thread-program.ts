/** The program of the copy thread as text, put here by build.mjs; empty where nothing was built. */
export const COPY_THREAD_PROGRAM: string = '';

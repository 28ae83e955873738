/** The Kubernetes client as text, put here by build.mjs; empty where nothing was built. */
export const CLIENT_PROGRAM: string = '';

/** Copies wait in the memory of each replica (mirror/queue.ts): there is no server, and the Lease's holder copies. */
export const memory = undefined;

import { workerData } from 'node:worker_threads';
import { startBackground } from './start.js';
import { isBackgroundData } from './protocol.js';
import { lowerThreadPriority } from './thread-priority.js';

// Set here as well, because the main thread's setting does not apply to worker threads.
process.noDeprecation = true;
lowerThreadPriority();
if (isBackgroundData(workerData)) startBackground(workerData, process.env);

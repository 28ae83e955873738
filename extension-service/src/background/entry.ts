import { workerData } from 'node:worker_threads';
import { startBackground } from './start.js';
import { isBackgroundData } from './protocol.js';

// Same as in the main thread, whose setting does not apply to threads.
process.noDeprecation = true;
if (isBackgroundData(workerData)) startBackground(workerData, process.env);

import { workerData } from 'node:worker_threads';
import { startBackground } from './start.js';
import { isBackgroundData } from './protocol.js';

// As in the main thread, whose setting threads do not have.
process.noDeprecation = true;
if (isBackgroundData(workerData)) startBackground(workerData, process.env);

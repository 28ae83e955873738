import { workerData } from 'node:worker_threads';
import { startCopyThread } from './start-copy-thread.js';
import { isCopyThreadData } from './thread-protocol.js';

// As in the main thread, whose setting threads do not have.
process.noDeprecation = true;
if (isCopyThreadData(workerData)) startCopyThread(workerData, process.env);

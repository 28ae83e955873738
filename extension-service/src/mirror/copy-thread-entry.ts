import { workerData } from 'node:worker_threads';
import { startCopyThread } from './start-copy-thread.js';
import { isCopyThreadData } from './thread-protocol.js';

if (isCopyThreadData(workerData)) startCopyThread(workerData, process.env);

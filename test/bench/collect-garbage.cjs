// Loaded into the measured service by NODE_OPTIONS: each of its threads collects its garbage once the file exists. V8 itself
// collects old garbage only when a heap has grown enough, so that two runs of one program differ by 100 MiB while idle.
const { existsSync } = require('node:fs');
const { setFlagsFromString } = require('node:v8');
const { runInNewContext } = require('node:vm');

const file = process.env.COLLECT_GARBAGE_FILE;
const timer = setInterval(() => {
  if (!existsSync(file)) return;
  clearInterval(timer);
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
}, 1_000);
timer.unref();

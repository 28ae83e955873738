/**
 * Replaces Node's own printer of warnings with one that omits the warnings of our constructs, which many tests cause on
 * purpose. Runs once per worker.
 */
const installed = Symbol.for('image-swapper.test.warnings');
const state = globalThis as { [installed]?: boolean };

if (state[installed] !== true) {
  state[installed] = true;
  process.removeAllListeners('warning');
  process.on('warning', (warning) => {
    if (warning.name !== 'ImageSwapper') process.stderr.write(`${warning.stack ?? warning.message}\n`);
  });
}

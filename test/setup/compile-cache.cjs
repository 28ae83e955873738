'use strict';
/**
 * Preloaded into the programs that the tests start, which compile the same bundle hundreds of times: takes V8's code
 * from a file of an earlier process, which halves the CPU time of a start. Node has this since version 22 only
 * (NODE_COMPILE_CACHE). The code depends on the version of Node and the bundle, which are the file's name; without the
 * file, and for any other module, Node compiles as always. With WRITE_COMPILE_CACHE=1, a process writes the file when it ends.
 */
const { createHash } = require('node:crypto');
const Module = require('node:module');
const { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } = require('node:fs');
const { dirname, join } = require('node:path');
const { Script } = require('node:vm');
const { isMainThread } = require('node:worker_threads');

const FOLDER = join(__dirname, '../../.cache/compiled');

/** The same for the same text, whenever it was built: the test of the release builds the bundle again. */
function suffix(content) {
  return `-${createHash('sha1').update(content, 'latin1').digest('hex')}`;
}

function compile(content, filename, file) {
  const cachedData = existsSync(file) ? readFileSync(file) : undefined;
  // As Node does, without the line that names the interpreter.
  const script = new Script(Module.wrap(content.replace(/^#!.*/, '')), { filename, cachedData });
  if (cachedData !== undefined) return script;
  process.once('exit', () => {
    mkdirSync(FOLDER, { recursive: true });
    for (const name of readdirSync(FOLDER)) {
      if (!name.includes(suffix(content))) rmSync(join(FOLDER, name), { force: true });
    }
    const unfinished = `${file}.${process.pid}`;
    writeFileSync(unfinished, script.createCachedData());
    renameSync(unfinished, file);
  });
  return script;
}

// The first module is the program. The background worker compiles no file.
if (isMainThread) {
  const original = Module.prototype._compile;
  Module.prototype._compile = function (content, filename, ...others) {
    Module.prototype._compile = original;
    const file = join(FOLDER, `${process.version}-${process.arch}${suffix(content)}`);
    if (process.env.WRITE_COMPILE_CACHE !== '1' && !existsSync(file))
      return original.call(this, content, filename, ...others);
    const body = compile(content, filename, file).runInThisContext();
    return body.call(this.exports, this.exports, Module.createRequire(filename), this, filename, dirname(filename));
  };
}

'use strict';
/**
 * Preloaded into the programs that the tests start, which compile the same texts hundreds of times: the bundle, the
 * background worker's program and the clients packed inside it. Takes V8's code from a file of an earlier process, which
 * halves the CPU time of a start. Node has this since version 22 only, and only for modules (NODE_COMPILE_CACHE). The code
 * depends on the version of Node and the text, which are the file's name; without the file, Node compiles as always. With
 * WRITE_COMPILE_CACHE, a process writes the files of the bundle and of the worker's program.
 */
const { createHash } = require('node:crypto');
const Module = require('node:module');
const { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } = require('node:fs');
const { dirname, join } = require('node:path');
const vm = require('node:vm');
const workers = require('node:worker_threads');

const FOLDER = join(__dirname, '../../.cache/compiled');
/** The line that the process prints when it has written the worker's code. */
const WRITES = process.env.WRITE_COMPILE_CACHE;

/** The worker has run the functions of a start after this time. A slow machine only leaves functions out. */
const WORKER_START_MS = 1_000;

/** The same for the same text, whenever it was built: the test of the release builds the bundle again. */
function fileOf(name, text) {
  const digest = createHash('sha1').update(text, 'latin1').digest('hex');
  return join(FOLDER, `${process.version}-${process.arch}-${name}-${digest}`);
}

function cached(text, filename, file) {
  return new vm.Script(text, { filename, cachedData: existsSync(file) ? readFileSync(file) : undefined });
}

/** Replaces the code of the text's earlier builds for this version of Node. */
function write(script, file) {
  mkdirSync(FOLDER, { recursive: true });
  const unfinished = `${file}.${process.pid}`;
  writeFileSync(unfinished, script.createCachedData());
  renameSync(unfinished, file);
  const others = file.slice(0, file.lastIndexOf('-') + 1);
  for (const name of readdirSync(FOLDER)) {
    const path = join(FOLDER, name);
    if (path.startsWith(others) && !path.startsWith(file)) rmSync(path, { force: true });
  }
}

/** The first module is the program. */
function cacheBundle() {
  const original = Module.prototype._compile;
  Module.prototype._compile = function (content, filename, ...others) {
    Module.prototype._compile = original;
    const file = fileOf('bundle', content);
    const isNew = !existsSync(file);
    if (isNew && WRITES === undefined) return original.call(this, content, filename, ...others);
    // As Node does, without the line that names the interpreter.
    const script = cached(Module.wrap(content.replace(/^#!.*/, '')), filename, file);
    if (isNew) process.once('exit', () => write(script, file));
    const body = script.runInThisContext();
    return body.call(this.exports, this.exports, Module.createRequire(filename), this, filename, dirname(filename));
  };
}

/** The worker's program arrives as a text that Node would evaluate; a worker of its own runs the compiled text instead. */
function cacheWorkers() {
  const { Worker } = workers;
  workers.Worker = class extends Worker {
    constructor(program, options) {
      const file = options?.eval === true ? fileOf('worker', program) : undefined;
      const replaced = file !== undefined && (WRITES !== undefined || existsSync(file));
      if (replaced) workers.setEnvironmentData(__filename, { program, file });
      super(replaced ? `require(${JSON.stringify(__filename)}).runProgram();` : program, options);
    }
  };
}

function runProgram() {
  const { program, file } = workers.getEnvironmentData(__filename);
  const script = cached(program, '[worker eval]', file);
  script.runInThisContext();
  if (WRITES === undefined) return;
  const isNew = !existsSync(file);
  setTimeout(
    () => {
      if (isNew) write(script, file);
      process.stderr.write(`${WRITES}\n`);
    },
    isNew ? WORKER_START_MS : 0,
  );
}

/** The clients: a process that finds no code writes it when the client's text has run. */
function cacheClients() {
  const original = vm.runInThisContext;
  vm.runInThisContext = (text, options) => {
    const { filename } = options ?? {};
    if (!filename?.endsWith('-client.cjs')) return original(text, options);
    const file = fileOf(filename, text);
    const script = cached(text, filename, file);
    const exported = script.runInThisContext();
    if (!existsSync(file)) setImmediate(() => write(script, file));
    return exported;
  };
}

if (workers.isMainThread) {
  cacheBundle();
  cacheWorkers();
}
cacheClients();

module.exports = { runProgram };

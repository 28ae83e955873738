import { PassThrough } from 'node:stream';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Progress } from '../../../extension-service/src/cli/copy-progress.js';
import type { MirrorJob } from '../../../extension-service/src/core/decide/mirror-job.js';

const SHOW_CURSOR = '\u001b[?25h';
const HIDE_CURSOR = '\u001b[?25l';
const job = { key: 'k', source: 'nginx:1' } as MirrorJob;

function terminal(isTTY: boolean): { readonly stderr: NodeJS.WritableStream; readonly text: () => string } {
  let text = '';
  const stderr = Object.assign(new PassThrough(), { isTTY, columns: 80, rows: 24, cursorTo: () => true });
  stderr.on('data', (chunk: Buffer) => (text += chunk.toString()));
  return { stderr, text: () => text };
}

function progress(stderr: NodeJS.WritableStream): Progress {
  return new Progress({ stdin: new PassThrough(), stdout: new PassThrough(), stderr, env: {}, cwd: '/' }, 2);
}

describe('the progress of copies', () => {
  afterEach(() => vi.restoreAllMocks());

  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    'restores the cursor of the terminal on %s and forwards the signal',
    (signal) => {
      const kill = vi.spyOn(process, 'kill').mockReturnValue(true);
      const { stderr, text } = terminal(true);
      progress(stderr).update(job, { transferred: 1, total: 2 });
      process.emit(signal, signal);
      const [hidden, shown] = [text().lastIndexOf(HIDE_CURSOR), text().lastIndexOf(SHOW_CURSOR)];
      expect(shown).toBeGreaterThan(hidden);
      expect(text()).toContain('stopped: unfinished images are not in the target');
      expect(kill).toHaveBeenCalledExactlyOnceWith(process.pid, signal);
    },
  );

  it('leaves no listener behind when it ends', () => {
    const before = process.listenerCount('SIGINT');
    progress(terminal(true).stderr).stop();
    expect(process.listenerCount('SIGINT')).toBe(before);
  });

  it('names the failed copies in a pipe', () => {
    const { stderr, text } = terminal(false);
    const both = progress(stderr);
    both.end(job, true);
    both.end({ ...job, source: 'nginx:2' }, false);
    expect(text()).toBe('nginx:1: finished\nnginx:2: failed\n');
  });
});

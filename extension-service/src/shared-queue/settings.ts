import { readFile } from 'node:fs/promises';
import type { QueueConfig } from '../core/config/model.js';
import { queueUrlFault } from '../core/config/queue-url.js';
import { ESCAPE_ADVICE, isDecodable, parseUrl } from '../util/parse-url.js';
import { messageOf } from '../util/message-of.js';
import { QueueServerError } from './kind.js';
import type { ServerSettings } from './kind.js';

/** Reads a key of a Secret in the service's namespace. @throws Error that names the Secret */
export type ReadSecretKey = (name: string, key: string) => Promise<string>;

/**
 * The settings, with the current content of the files and the Secret.
 *
 * @throws QueueServerError that names the unreadable file or Secret
 */
export async function readSettings(config: QueueConfig, readSecretKey: ReadSecretKey): Promise<ServerSettings> {
  const { secretName, passwordFile, caFile, sentinelPasswordFile, prefix, sentinels } = config;
  const [text, password, ca, sentinelPassword] = await Promise.all([
    secretName === undefined ? config.url : secretUrl(config.type, secretName, readSecretKey),
    readText('queue.passwordFile', passwordFile),
    readText('queue.caFile', caFile),
    readText('queue.sentinelPasswordFile', sentinelPasswordFile),
  ]);
  const url = text === undefined ? undefined : parseUrl(text);
  if (url === undefined) throw new QueueServerError('queue.url: not the URL of a queue server');
  if (!isDecodable(url.username, url.password, url.pathname)) {
    const where = secretName === undefined ? 'queue.url' : `queue.secretName: the key url of Secret ${secretName}`;
    throw new QueueServerError(`${where} has a % that does not begin an escape: ${ESCAPE_ADVICE}`);
  }
  return {
    ...{ url, prefix, sentinels },
    ...(password !== undefined && { password: lineOf(password) }),
    ...(ca !== undefined && { ca }),
    ...(sentinelPassword !== undefined && { sentinelPassword: lineOf(sentinelPassword) }),
  };
}

async function secretUrl(type: string, name: string, readSecretKey: ReadSecretKey): Promise<string> {
  const text = await readSecretKey(name, 'url').catch((error: unknown) => {
    throw new QueueServerError(`queue.secretName: ${messageOf(error)}`);
  });
  const url = text.trim();
  const fault = queueUrlFault(type, url);
  if (fault !== undefined) throw new QueueServerError(`queue.secretName: the key url of Secret ${name} is ${fault}`);
  return url;
}

async function readText(key: string, path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new QueueServerError(`${key}: cannot read it: ${messageOf(error)}`);
  }
}

/** Editors and `echo` end files with a line break, which is not part of the password. */
function lineOf(text: string): string {
  return text.replace(/\r?\n$/, '');
}

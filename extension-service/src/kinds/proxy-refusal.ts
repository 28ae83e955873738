/** hpagent's text for a proxy that answers CONNECT with another status than 200. */
const REFUSAL = /\bBad response: (\d{3})\b/;

/**
 * The remedy if a cloud's client reports that the proxy refused the connection, whose error has no code of its own.
 * Undefined for other messages.
 */
export function proxyRefusalAdvice(message: string): string | undefined {
  const status = REFUSAL.exec(message)?.[1];
  if (status === undefined) return undefined;
  return status === '407'
    ? 'the proxy of HTTPS_PROXY requires a login: write http://USER:PASSWORD@HOST:PORT'
    : 'the proxy of HTTPS_PROXY refused the connection: allow the host there, or add it to NO_PROXY';
}

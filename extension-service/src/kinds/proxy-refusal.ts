/** hpagent's text for a proxy that answers CONNECT with another status than 200. */
const REFUSAL = /\bBad response: \d{3}\b/;

/** Whether a cloud's client reports that the proxy refused the connection: the error has no code of its own. */
export function isProxyRefusal(message: string): boolean {
  return REFUSAL.test(message);
}

export const PROXY_REFUSAL_ADVICE =
  'the proxy of HTTPS_PROXY refused the connection: allow the host there, or add it to NO_PROXY';

import { RenewedLogin } from '../../credentials/renewed-login.js';
import type { PasswordCredentials } from '../../registry/types.js';
import type { CloudEvent } from '../cloud.js';
import { messageOf } from '../../util/message-of.js';
import type { AccessToken } from './access-token.js';

/** The user name with which Google's registries accept an access token as the password. */
const TOKEN_USER = 'oauth2accesstoken';

/** Keeps a login to Google's registries; renewals and failures are events. */
export function googleLogin(
  registry: string,
  obtain: () => Promise<AccessToken>,
  onEvent: (event: CloudEvent) => void,
): RenewedLogin<PasswordCredentials> {
  return new RenewedLogin(
    async () => {
      const { token, expires } = await obtain();
      return { credentials: { username: TOKEN_USER, password: token }, expires };
    },
    {
      onRenewed: ({ expires }) => onEvent({ kind: 'login', registry, outcome: 'renewed', expires }),
      onFailed: (error) => {
        const message = `${registry}: ${messageOf(error)}`;
        onEvent({ kind: 'login', registry, outcome: 'failed', message });
      },
    },
  );
}

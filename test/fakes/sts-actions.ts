import { AwsError } from './aws-error.js';
import type { AwsIdentities, AwsKeys, Caller } from './aws-identities.js';

export const STS_ACTIONS = ['AssumeRole', 'AssumeRoleWithWebIdentity', 'GetCallerIdentity'] as const;
export type StsAction = (typeof STS_ACTIONS)[number];

const PARAMETERS: Readonly<Record<StsAction, readonly string[]>> = {
  AssumeRole: ['RoleArn', 'RoleSessionName', 'ExternalId', 'DurationSeconds', 'PolicyArns', 'Policy', 'Tags'],
  AssumeRoleWithWebIdentity: ['RoleArn', 'RoleSessionName', 'WebIdentityToken', 'DurationSeconds', 'ProviderId'],
  GetCallerIdentity: [],
};

/**
 * Returns the result of an STS action as the XML within its response.
 *
 * @param caller undefined for AssumeRoleWithWebIdentity, which is not signed
 */
export function stsResult(
  action: StsAction,
  form: Readonly<Record<string, string>>,
  identities: AwsIdentities,
  caller: Caller | undefined,
): string {
  for (const name of Object.keys(form)) {
    if (PARAMETERS[action].includes(name.split('.')[0] ?? '')) continue;
    throw new AwsError('ValidationError', `unknown parameter ${name} of ${action}`);
  }
  switch (action) {
    case 'GetCallerIdentity': {
      const { keys, account } = known(caller);
      return `<Arn>${keys.arn}</Arn><UserId>${keys.accessKeyId}</UserId><Account>${account}</Account>`;
    }
    case 'AssumeRole': {
      const { keys } = known(caller);
      const { role, name, seconds } = checked(form, keys.arn.includes(':assumed-role/'));
      identities.mayAssume(keys, role, form['ExternalId']);
      return session(identities.session(role, name, seconds));
    }
    case 'AssumeRoleWithWebIdentity': {
      const { role, name, seconds } = checked(form, false);
      if (identities.role(role)?.webIdentityTokens?.includes(form['WebIdentityToken'] ?? '') !== true) {
        throw new AwsError('AccessDenied', 'Not authorized to perform sts:AssumeRoleWithWebIdentity', 403);
      }
      const subject = '<SubjectFromWebIdentityToken>system:serviceaccount:test:test</SubjectFromWebIdentityToken>';
      return `${session(identities.session(role, name, seconds))}${subject}`;
    }
  }
}

export function stsResponse(action: StsAction, result: string): string {
  const metadata = '<ResponseMetadata><RequestId>test</RequestId></ResponseMetadata>';
  const body = `<${action}Result>${result}</${action}Result>${metadata}`;
  return `<${action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">${body}</${action}Response>`;
}

export function stsError({ code, message, status }: AwsError): string {
  const type = status >= 500 ? 'Receiver' : 'Sender';
  const error = `<Error><Type>${type}</Type><Code>${code}</Code><Message>${escape(message)}</Message></Error>`;
  return `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">${error}<RequestId>test</RequestId></ErrorResponse>`;
}

function known(caller: Caller | undefined): Caller {
  if (caller === undefined) throw new AwsError('MissingAuthenticationToken', 'Missing Authentication Token', 403);
  return caller;
}

function checked(
  form: Readonly<Record<string, string>>,
  chained: boolean,
): { role: string; name: string; seconds: number } {
  const { RoleArn: role = '', RoleSessionName: name = '', DurationSeconds = '3600', ExternalId } = form;
  const invalid = (what: string): AwsError => new AwsError('ValidationError', what);
  if (!/^arn:aws(-cn|-us-gov)?:iam::\d{12}:role\/.+$/.test(role)) throw invalid(`${role} is invalid`);
  if (!/^[\w+=,.@-]{2,64}$/.test(name))
    throw invalid(`Value '${name}' at 'roleSessionName' failed to satisfy constraint`);
  if (ExternalId !== undefined && !/^[\w+=,.@:/-]{2,1224}$/.test(ExternalId)) {
    throw invalid(`Value '${ExternalId}' at 'externalId' failed to satisfy constraint`);
  }
  const seconds = Number(DurationSeconds);
  if (!(seconds >= 900 && seconds <= 43_200)) throw invalid('The requested DurationSeconds is out of range');
  if (chained && seconds > 3600) {
    throw invalid('The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining');
  }
  return { role, name, seconds };
}

function session({
  accessKeyId,
  secretAccessKey,
  sessionToken,
  expires,
  arn,
}: AwsKeys & { readonly expires: number }): string {
  const parts = {
    AccessKeyId: accessKeyId,
    SecretAccessKey: secretAccessKey,
    SessionToken: sessionToken ?? '',
    Expiration: new Date(expires).toISOString(),
  };
  const credentials = Object.entries(parts).map(([name, value]) => `<${name}>${value}</${name}>`);
  const user = `<AssumedRoleUser><Arn>${arn}</Arn><AssumedRoleId>AROATEST:${arn.split('/').at(-1) ?? ''}</AssumedRoleId></AssumedRoleUser>`;
  return `<Credentials>${credentials.join('')}</Credentials>${user}`;
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

import type { IncomingMessage } from 'node:http';
import type { Parameters } from './ecr-rules.js';

export type ControlService = 'ecr' | 'ecr-public' | 'sts' | 'pod-identity';

/** A call as it was sent. */
export interface SentCall {
  readonly service: ControlService;
  /** IAM's name of the action, without the service prefix. */
  readonly action: string;
  readonly parameters: Parameters;
}

const TARGETS: Readonly<Record<string, ControlService>> = {
  AmazonEC2ContainerRegistry_V20150921: 'ecr',
  SpencerFrontendService: 'ecr-public',
};

/** Returns the operation and service of a request, or undefined for an unknown service. */
export function readCall({ headers, url }: IncomingMessage, body: string): SentCall | undefined {
  const target = headers['x-amz-target'];
  if (typeof target === 'string') {
    const [prefix = '', action = ''] = target.split('.');
    const service = TARGETS[prefix];
    if (service === undefined || headers['content-type'] !== 'application/x-amz-json-1.1') return undefined;
    return { service, action, parameters: JSON.parse(body === '' ? '{}' : body) as Parameters };
  }
  if (url === '/v1/credentials') return { service: 'pod-identity', action: 'GetCredentials', parameters: {} };
  const form = new URLSearchParams(body);
  const action = form.get('Action');
  if (action === null) return undefined;
  const parameters = Object.fromEntries([...form].filter(([name]) => name !== 'Action' && name !== 'Version'));
  return { service: 'sts', action, parameters };
}

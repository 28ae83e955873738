/** An error in the form of an AWS service; clients use `code`. */
export class AwsError extends Error {
  override readonly name = 'AwsError';

  constructor(
    readonly code: string,
    message: string,
    readonly status = 400,
  ) {
    super(message);
  }
}

/** AWS's words for a parameter that ECR refuses. */
export function invalidParameter(parameter: string, constraint: string): AwsError {
  return new AwsError(
    'InvalidParameterException',
    `Invalid parameter at '${parameter}' failed to satisfy constraint: '${constraint}'`,
  );
}

/** AWS's words for a missing permission: IAM administrators search for the action in them. */
export function accessDenied(code: string, arn: string, action: string, resource: string): AwsError {
  const reason = `because no identity-based policy allows the ${action} action`;
  return new AwsError(
    code,
    `User: ${arn} is not authorized to perform: ${action} on resource: ${resource} ${reason}`,
    code === 'AccessDenied' ? 403 : 400,
  );
}

/** The partition that a region is in. */
export function partitionOf(region: string): 'aws' | 'aws-cn' | 'aws-us-gov' {
  if (region.startsWith('cn-')) return 'aws-cn';
  return region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws';
}

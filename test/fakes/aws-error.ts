/** An error in the form of an AWS service. Clients use `code`. */
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

/** Creates the error with AWS's text for a parameter that ECR refuses. */
export function invalidParameter(parameter: string, constraint: string): AwsError {
  return new AwsError(
    'InvalidParameterException',
    `Invalid parameter at '${parameter}' failed to satisfy constraint: '${constraint}'`,
  );
}

/** Creates the error with AWS's text for a missing permission. IAM administrators search the text for the action. */
export function accessDenied(code: string, arn: string, action: string, resource: string): AwsError {
  const reason = `because no identity-based policy allows the ${action} action`;
  return new AwsError(
    code,
    `User: ${arn} is not authorized to perform: ${action} on resource: ${resource} ${reason}`,
    code === 'AccessDenied' ? 403 : 400,
  );
}

/** Returns the partition of a region. */
export function partitionOf(region: string): 'aws' | 'aws-cn' | 'aws-us-gov' {
  if (region.startsWith('cn-')) return 'aws-cn';
  return region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws';
}

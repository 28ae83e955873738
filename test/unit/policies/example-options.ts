/** CA certificate (PEM). Only its format matters here. */
export const CA = pem('MIIBozCCAUqgAwIBAgIRAIg7GbRSrMg+4V9+Tq+KrUUwCgYIKoZIzj0EAwIwLzEt');

export const HTTPS = 'https://image-swapper.image-swapper.svc:8443';
export const TARGETS = ['registry.example.com:5000/mirror/', '123456789012.dkr.ecr.eu-west-1.amazonaws.com/'];

export function pem(base64: string, kind = 'CERTIFICATE'): string {
  return `-----BEGIN ${kind}-----\n${base64}\n-----END ${kind}-----\n`;
}

/** Every combination of one value of each option. */
export function combinations<Options>(choices: {
  readonly [Key in keyof Options]: readonly Options[Key][];
}): Options[] {
  let result: Partial<Options>[] = [{}];
  for (const key of Object.keys(choices) as (keyof Options)[]) {
    result = result.flatMap((options) => choices[key].map((value) => ({ ...options, [key]: value })));
  }
  // An undefined option is removed instead of being set to undefined.
  return result.map(
    (options) => Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Options,
  );
}

/** OpenSSL 3.2 and later print `ssl/tls` where earlier versions print the TLS version that defined the alert. */
const CODE = /^ERR_SSL_(?:SSLV3|TLSV1|TLSV13|SSL\/TLS)_ALERT_(\w+)$/;
const TEXT = /:(?:sslv3|tlsv1|tlsv13|ssl\/tls) alert ([a-z ]+):/i;

/**
 * The alert with which a server ends a TLS connection (RFC 8446, section 6.2), such as `certificate required`;
 * undefined for other errors. Node reports it with a separate code, or as EPROTO with OpenSSL's text.
 */
export function tlsAlertOf(error: unknown): string | undefined {
  const { code = '', message = '' } = error as NodeJS.ErrnoException;
  const name = CODE.exec(code)?.[1] ?? (code === 'EPROTO' ? TEXT.exec(message)?.[1] : undefined);
  return name?.replaceAll('_', ' ').toLowerCase().trim();
}

/** Whether an alert means that our certificate is missing, or not accepted by the server. */
export function isAboutClientCertificate(alert: string): boolean {
  return /^(certificate \w+|bad certificate|no certificate|unknown ca|unsupported certificate|access denied)$/.test(
    alert,
  );
}

/**
 * Whether an alert means that no offered option is acceptable; TLS 1.2 servers also send it for a missing certificate.
 */
export function isAboutHandshake(alert: string): boolean {
  return /^(handshake failure|protocol version|insufficient security|unrecognized name)$/.test(alert);
}

/** Whether a TLS handshake failed because the peer does not use TLS. */
export function isNotTls(error: unknown): boolean {
  const { code = '' } = error as NodeJS.ErrnoException;
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG') return true;
  return code === 'EPROTO' && tlsAlertOf(error) === undefined;
}

import { describe, expect, it } from 'vitest';
import {
  isAboutClientCertificate,
  isAboutHandshake,
  isNotTls,
  tlsAlertOf,
} from '../../../extension-service/src/registry/transport/tls-alerts.js';

const eproto = (reason: string): string =>
  `write EPROTO 00AB:error:0A000410:SSL routines:ssl3_read_bytes:${reason}:../ssl/record/rec_layer_s3.c:1605:SSL alert number 40\n`;

describe('the error of a TLS connection', () => {
  it.each<[string, string, string | undefined, 'certificate' | 'handshake' | 'not TLS' | 'other']>([
    ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', '', 'certificate required', 'certificate'],
    ['ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE', '', 'bad certificate', 'certificate'],
    ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED', '', 'certificate expired', 'certificate'],
    ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', '', 'unknown ca', 'certificate'],
    ['EPROTO', eproto('sslv3 alert bad certificate'), 'bad certificate', 'certificate'],
    ['EPROTO', eproto('sslv3 alert handshake failure'), 'handshake failure', 'handshake'],
    ['EPROTO', eproto('ssl/tls alert handshake failure'), 'handshake failure', 'handshake'],
    ['ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', '', 'protocol version', 'handshake'],
    ['ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR', '', 'internal error', 'other'],
    ['EPROTO', eproto('wrong version number'), undefined, 'not TLS'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', '', undefined, 'not TLS'],
    ['ECONNRESET', 'read ECONNRESET', undefined, 'other'],
  ])('%s %s is the alert %s', (code, message, alert, about) => {
    const error = Object.assign(new Error(message), { code });
    expect(tlsAlertOf(error)).toBe(alert);
    expect(isAboutClientCertificate(alert ?? '')).toBe(about === 'certificate');
    expect(isAboutHandshake(alert ?? '')).toBe(about === 'handshake');
    expect(isNotTls(error)).toBe(about === 'not TLS');
  });
});

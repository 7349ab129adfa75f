import { createSecureContext, getCACertificates, type SecureContext, type SecureContextOptions } from 'node:tls'
import { BerthError } from '@berth/core'

/** How a host proves who it is, and how we do. */
export interface TlsSettings {
  /** PEM; besides the authorities that Node knows. */
  ca?: readonly string[] | undefined
  /** Certificates of ours with their keys, PEM. */
  client?: readonly { cert: string; key: string }[] | undefined
  /** Its certificate is not checked. */
  skipVerify?: boolean | undefined
}

/**
 * Options for connections by these settings.
 * @throws `invalid-argument` for certificates and keys that are none; nothing of them is repeated.
 */
export function secureOptions({ ca = [], client = [], skipVerify = false }: TlsSettings): { secureContext?: SecureContext; rejectUnauthorized: boolean } {
  if (ca.length === 0 && client.length === 0) return { rejectUnauthorized: !skipVerify }
  try {
    const options: SecureContextOptions = {
      ...(ca.length > 0 && { ca: [...getCACertificates('default'), ...ca] }),
      ...(client.length > 0 && { cert: client.map(({ cert }) => cert), key: client.map(({ key }) => key) }),
    }
    // Made once, as reading all the authorities takes a while.
    return { secureContext: createSecureContext(options), rejectUnauthorized: !skipVerify }
  } catch {
    throw new BerthError('invalid-argument', 'CERTIFICATE_INVALID', 'a certificate or key for a registry cannot be read: it must be PEM, and the key that of its certificate')
  }
}

/** What of an endpoint's settings counts for another origin that it leads to: whom we trust, but not who we are. */
export function tlsElsewhere(tls: TlsSettings | undefined): TlsSettings | undefined {
  return tls?.ca?.length ? { ca: tls.ca } : undefined
}

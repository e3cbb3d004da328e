/* bulkhead/attributes.h - names that plugins share: attributes of an exchange, headers with a meaning of their own.
 *
 * Attributes are text, kept with ex_put and read with ex_get. Beside each stands which plugin may write it; any plugin may read it.
 */
#ifndef BH_ATTRIBUTES_H
#define BH_ATTRIBUTES_H

/* The caller. Written in AUTHENTICATE by a plugin with the grant "phase:authenticate". */
#define BH_IDENTITY_PREFIX "identity."
#define BH_IDENTITY_SUBJECT "identity.subject" /* "key:2f0c…", "cert:CN=…", the sub of a token, "anonymous" */
#define BH_IDENTITY_KIND "identity.kind"       /* "key", "token", "certificate", "anonymous" */
#define BH_IDENTITY_SCOPES "identity.scopes"   /* separated by spaces, as in RFC 6749 §3.3 */
#define BH_IDENTITY_TENANT "identity.tenant"   /* absent where there is none */

/* What the handshake proved. Written by the host. */
#define BH_TLS_PREFIX "tls."
#define BH_TLS_CLIENT_SUBJECT "tls.client.subject" /* of a verified certificate, as in RFC 2253 */

/* Request headers that only plugins with a grant see; for others their values are empty. */
#define BH_HEADER_AUTHORIZATION "authorization" /* grant "header:authorization" */
#define BH_HEADER_API_KEY "x-api-key"           /* grant "header:authorization" */
#define BH_HEADER_COOKIE "cookie"               /* grant "header:cookie" */

/* Answer header for bh.cache: tags separated by spaces. The host never sends it on. */
#define BH_HEADER_SURROGATE_KEY "surrogate-key"

#endif /* BH_ATTRIBUTES_H */

/**
 * Keys and certificates, out of PEM files and out of the system's store.
 */

import { LocalIoError, reasonOf, RefusedError } from "../base/errors.ts";
import { readBytes } from "../base/readable_file.ts";
import { type Certificate, maySign, parseCertificate } from "./x509.ts";

/** Far more than all the CAs of a system have, in bytes. */
const MAX_FILE_BYTES = 16 * 1024 * 1024;

/** A private key with its certificate, which others may follow, in PEM. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/**
 * Reads a certificate and its private key.
 *
 * @param files.key The file with the key; that of the certificate when absent.
 * @throws {LocalIoError} A file cannot be read.
 * @throws {RefusedError} They are of no use for TLS; with what to do.
 */
export async function readKeyPair(
  files: { readonly cert: string; readonly key: string | undefined },
): Promise<KeyPair> {
  const cert = await readNamed("--tls-cert", files.cert);
  if (blocksOf(cert).length === 0) {
    throw new RefusedError(
      `Cannot use --tls-cert "${files.cert}": there is no certificate in PEM in it`,
    );
  }
  const keyFile = files.key ?? files.cert;
  const key = files.key === undefined
    ? cert
    : await readNamed("--tls-key", keyFile);
  checkKey(key, keyFile);
  const pair = { cert, key };
  checkPair(pair, { cert: files.cert, key: keyFile });
  return pair;
}

const PRIVATE_KEY = /-----BEGIN (RSA |EC )?PRIVATE KEY-----/;
const ENCRYPTED_KEY =
  /-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m;

function checkKey(text: string, file: string): void {
  if (ENCRYPTED_KEY.test(text)) {
    throw new RefusedError(
      `Cannot use the key in "${file}": it is encrypted; decrypt it with openssl pkey -in "${file}" -out FILE`,
    );
  }
  if (!PRIVATE_KEY.test(text)) {
    throw new RefusedError(
      `Cannot use the key in "${file}": there is no private key in PEM in it; name its file with --tls-key`,
    );
  }
}

/**
 * Has the runtime read the pair, which it does when it listens, and not otherwise
 * without a peer: Deno 2.4 even panics when a client's do not fit together.
 */
function checkPair(
  pair: KeyPair,
  files: { readonly cert: string; readonly key: string },
): void {
  try {
    Deno.listenTls({ hostname: "127.0.0.1", port: 0, ...pair }).close();
  } catch (error) {
    const text = reasonOf(error);
    const what = /decode key|private key/.test(text)
      ? `the key in "${files.key}"`
      : `--tls-cert "${files.cert}"`;
    const reason = PAIR_REASONS.find(([words]) => text.includes(words))?.[1];
    throw new RefusedError(`Cannot use ${what}: ${reason ?? text}`, {
      cause: error,
    });
  }
}

/** Words of the runtime, and what they mean. */
const PAIR_REASONS = [
  ["KeyMismatch", "the private key belongs to another certificate"],
  ["decode key", "it is damaged"],
  [
    "parse private key",
    "it is damaged, too short, or of a kind that is not used for TLS; make one of RSA with 2048 bits or more, EC on P-256, P-384 or P-521, or Ed25519",
  ],
  ["decode certificate", "it is damaged"],
  ["UnsupportedCertVersion", "it is of an old version; make one of X.509 v3"],
] as const;

/**
 * Reads the certificates of CAs.
 *
 * @param option The option that names the file, for the message.
 * @returns PEM, with one certificate at least.
 * @throws {LocalIoError} The file cannot be read.
 * @throws {RefusedError} It has no certificate, or one that cannot be read.
 */
export async function readAuthorities(
  option: string,
  file: string,
): Promise<string> {
  const blocks = blocksOf(await readNamed(option, file));
  if (blocks.length === 0) {
    throw new RefusedError(
      `Cannot use ${option} "${file}": there is no certificate in PEM in it`,
    );
  }
  if (!blocks.every(areReadable)) {
    throw new RefusedError(
      `Cannot use ${option} "${file}": it has a damaged certificate in it`,
    );
  }
  return blocks.join("\n");
}

/**
 * The most that the certificates of the clients' CAs may be together, in bytes of
 * PEM: they are part of the handshake, of which TLS libraries take 64 KiB.
 */
const MAX_CLIENT_AUTHORITIES_BYTES = 48 * 1024;

/**
 * Reads the CA certificates that vouch for clients.
 *
 * @throws {RefusedError} There are too many, or one may not sign others.
 * @throws What `readAuthorities` throws.
 */
export async function readClientAuthorities(
  option: string,
  file: string,
): Promise<string> {
  const authorities = await readAuthorities(option, file);
  if (authorities.length > MAX_CLIENT_AUTHORITIES_BYTES) {
    throw new RefusedError(
      `Cannot use ${option} "${file}": there are too many certificates in it (more than 48 KiB); give only those of the CAs that sign your clients'`,
    );
  }
  if (!certificatesOf(authorities).every(maySign)) {
    throw new RefusedError(
      `Cannot use ${option} "${file}": there is a certificate in it that may not sign others (keyUsage without keyCertSign); to let in its owner alone, give the pin with --tls-client-pin`,
    );
  }
  return authorities;
}

/**
 * The files in which systems keep the certificates of the CAs that they trust, in PEM: Debian,
 * Ubuntu, Arch and Alpine; Fedora and RHEL; openSUSE; macOS and the BSDs.
 */
const SYSTEM_AUTHORITIES = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/ca-bundle.pem",
  "/etc/ssl/cert.pem",
] as const;

/**
 * Reads the certificates of the CAs that this system trusts: those that
 * SSL_CERT_FILE names (none, when it cannot be read), or the system's own bundle.
 * The runtime trusts Mozilla's in any case, and on a system without a bundle
 * (Windows) no others.
 *
 * @returns PEM, or nothing.
 */
export async function systemAuthorities(): Promise<string> {
  const named = Deno.env.get("SSL_CERT_FILE");
  for (const path of named ? [named] : SYSTEM_AUTHORITIES) {
    try {
      const text = await readText(path);
      // One damaged certificate would make the runtime refuse all.
      return areReadable(text)
        ? text
        : blocksOf(text).filter(areReadable).join("\n");
    } catch {
      // Another system's place.
    }
  }
  return "";
}

/**
 * Whether the runtime's TLS library can read all certificates in a PEM text.
 *
 * This is asked by way of a client for HTTP that is never used, as this is the one
 * call that reads certificates without a peer.
 */
export function areReadable(certificates: string): boolean {
  try {
    Deno.createHttpClient({ caCerts: [certificates] }).close();
    return true;
  } catch {
    return false;
  }
}

/** Splits a PEM text into its certificates. */
function blocksOf(text: string): string[] {
  return text.match(
    /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g,
  ) ?? [];
}

/** Parses the certificates of a PEM text; `undefined` for one that cannot be read. */
function certificatesOf(pem: string): (Certificate | undefined)[] {
  return blocksOf(pem).map((block) => {
    const der = toDer(block);
    return der && parseCertificate(der);
  });
}

/** Decodes the first certificate of a PEM text. */
export function firstCertificate(
  pem: string,
): Uint8Array<ArrayBuffer> | undefined {
  const [first] = blocksOf(pem);
  return first === undefined ? undefined : toDer(first);
}

/** Decodes one PEM block; `undefined` when it is damaged. */
function toDer(block: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    const base64 = block.replace(/-----[^-]+-----|\s/g, "");
    return Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  } catch {
    return undefined;
  }
}

/** Encodes DER as PEM (RFC 7468). */
export function toPem(
  label: string,
  der: Uint8Array<ArrayBuffer>,
): string {
  const base64 = btoa(String.fromCharCode(...der));
  const lines = base64.match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${
    lines.join("\n")
  }\n-----END ${label}-----\n`;
}

async function readNamed(option: string, file: string): Promise<string> {
  try {
    return await readText(file);
  } catch (error) {
    throw new LocalIoError(
      `Cannot read ${option} "${file}": ${reasonOf(error)}`,
      { cause: error },
    );
  }
}

async function readText(file: string): Promise<string> {
  const { bytes } = await readBytes(file, MAX_FILE_BYTES + 1);
  if (bytes.length > MAX_FILE_BYTES) throw new Error("it has more than 16 MiB");
  return new TextDecoder().decode(bytes);
}

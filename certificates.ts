/**
 * Keys and certificates: out of PEM files, out of the system's store, and new
 * ones for one run.
 */

import {
  element,
  objectIdentifier,
  readElements,
  TAG,
  time,
  unsigned,
} from "./der.ts";
import { isIPv4, isIPv6 } from "./address.ts";
import { LocalIoError, reasonOf, RefusedError } from "./errors.ts";
import { type Pin, pinOfKey } from "./pin.ts";
import { hex } from "./units.ts";

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
  const cert = await readText("--tls-cert", files.cert);
  if (blocksOf(cert).length === 0) {
    throw new RefusedError(
      `Cannot use --tls-cert "${files.cert}": there is no certificate in PEM in it`,
    );
  }
  const keyFile = files.key ?? files.cert;
  const key = files.key === undefined
    ? cert
    : await readText("--tls-key", keyFile);
  checkKey(key, keyFile);
  const pair = { cert, key };
  checkPair(pair, files.cert);
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
function checkPair(pair: KeyPair, file: string): void {
  try {
    Deno.listenTls({ hostname: "127.0.0.1", port: 0, ...pair }).close();
  } catch (error) {
    const reason = reasonOf(error).includes("KeyMismatch")
      ? "the private key belongs to another certificate"
      : reasonOf(error);
    throw new RefusedError(`Cannot use --tls-cert "${file}": ${reason}`, {
      cause: error,
    });
  }
}

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
  const blocks = blocksOf(await readText(option, file));
  if (blocks.length === 0) {
    throw new RefusedError(
      `Cannot use ${option} "${file}": there is no certificate in PEM in it`,
    );
  }
  if (!blocks.every(isReadable)) {
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
 * Reads the certificates of the CAs of clients, as `readAuthorities` does, and
 * checks that they are some.
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
  if (!blocksOf(authorities).every((block) => maySign(toDer(block) ?? EMPTY))) {
    throw new RefusedError(
      `Cannot use ${option} "${file}": there is a certificate in it that may not sign others (keyUsage without keyCertSign); to let in its owner alone, give the pin with --tls-client-pin`,
    );
  }
  return authorities;
}

/**
 * Whether a certificate's key may sign others as far as its key usage is concerned
 * (RFC 5280 section 4.2.1.3); without one it may.
 */
export function maySign(certificate: Uint8Array<ArrayBuffer>): boolean {
  const [outer] = readElements(certificate) ?? [];
  const [toBeSigned] = readElements(outer?.content ?? EMPTY) ?? [];
  const fields = readElements(toBeSigned?.content ?? EMPTY);
  if (fields === undefined) return false;
  const extensions = fields.find(({ tag }) => tag === EXTENSIONS_TAG);
  if (extensions === undefined) return true;
  const [list] = readElements(extensions.content) ?? [];
  for (const { content } of readElements(list?.content ?? EMPTY) ?? []) {
    const parts = readElements(content) ?? [];
    if (hex(parts[0]?.whole ?? EMPTY) !== hex(KEY_USAGE)) continue;
    const [bits] = readElements(parts.at(-1)?.content ?? EMPTY) ?? [];
    // Behind the number of unused bits; keyCertSign is bit 5 from the left.
    return ((bits?.content[1] ?? 0) & 0x04) !== 0;
  }
  return true;
}

const EMPTY = new Uint8Array();

const EXTENSIONS_TAG = 0xa3;

const KEY_USAGE = objectIdentifier("2.5.29.15");

/**
 * Where systems keep the certificates of the CAs that they trust, in PEM: Debian,
 * Ubuntu, Arch and Alpine; Fedora and RHEL; openSUSE; macOS and the BSDs.
 */
const SYSTEM_AUTHORITIES = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/ca-bundle.pem",
  "/etc/ssl/cert.pem",
] as const;

/**
 * The certificates of the CAs that this system trusts: those that SSL_CERT_FILE
 * names, or the system's own bundle. The runtime trusts Mozilla's in any case,
 * and on a system without a bundle (Windows) no others.
 *
 * @returns PEM, or nothing.
 */
export async function systemAuthorities(): Promise<string> {
  const named = Deno.env.get("SSL_CERT_FILE");
  for (const path of named ? [named] : SYSTEM_AUTHORITIES) {
    try {
      const text = await Deno.readTextFile(path);
      // One damaged certificate would make the runtime refuse all.
      return isReadable(text)
        ? text
        : blocksOf(text).filter(isReadable).join("\n");
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
export function isReadable(certificates: string): boolean {
  try {
    Deno.createHttpClient({ caCerts: [certificates] }).close();
    return true;
  } catch {
    return false;
  }
}

/** The certificates of a PEM text, each for itself. */
function blocksOf(text: string): string[] {
  return text.match(
    /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g,
  ) ?? [];
}

/** The first certificate of a PEM text, in DER. */
export function firstCertificate(
  pem: string,
): Uint8Array<ArrayBuffer> | undefined {
  const [first] = blocksOf(pem);
  return first === undefined ? undefined : toDer(first);
}

/** DER of one PEM block, or `undefined` when it is damaged. */
function toDer(block: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    const base64 = block.replace(/-----[^-]+-----|\s/g, "");
    return Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  } catch {
    return undefined;
  }
}

/** DER as PEM (RFC 7468). */
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

async function readText(option: string, file: string): Promise<string> {
  try {
    return await Deno.readTextFile(file);
  } catch (error) {
    throw new LocalIoError(
      `Cannot read ${option} "${file}": ${reasonOf(error)}`,
      { cause: error },
    );
  }
}

const DAY_MS = 86_400_000;

/** How far a peer's clock may be behind ours. */
const VALID_BEFORE_MS = DAY_MS;

/** A run may last; whoever pins the key asks for no date anyway. */
const VALID_AFTER_MS = 366 * DAY_MS;

const ECDSA_P256 = { name: "ECDSA", namedCurve: "P-256" } as const;

/**
 * Makes an ECDSA P-256 key that lives no longer than this run, and a certificate
 * for it (X.509 v3, RFC 5280) that is signed by itself and no CA.
 *
 * @param names The host names and IP addresses that it is for.
 */
export async function makeSelfSigned(
  names: readonly string[],
  now: Date = new Date(),
): Promise<KeyPair & { readonly pin: Pin }> {
  const extractable = true;
  const { privateKey, publicKey } = await crypto.subtle.generateKey(
    ECDSA_P256,
    extractable,
    ["sign", "verify"],
  );
  const [spki, pkcs8] = await Promise.all([
    crypto.subtle.exportKey("spki", publicKey),
    crypto.subtle.exportKey("pkcs8", privateKey),
  ]);
  const keyBytes = new Uint8Array(spki);
  const toBeSigned = tbsCertificate(keyBytes, names, now);
  const signature = await crypto.subtle.sign(
    { name: "ECDSA", hash: "SHA-256" },
    privateKey,
    toBeSigned,
  );
  const certificate = element(
    TAG.sequence,
    toBeSigned,
    ECDSA_WITH_SHA256,
    bitString(ecdsaSignature(new Uint8Array(signature))),
  );
  return {
    cert: toPem("CERTIFICATE", certificate),
    key: toPem("PRIVATE KEY", new Uint8Array(pkcs8)),
    pin: await pinOfKey(keyBytes),
  };
}

const ECDSA_WITH_SHA256 = element(
  TAG.sequence,
  objectIdentifier("1.2.840.10045.4.3.2"),
);

function tbsCertificate(
  publicKey: Uint8Array<ArrayBuffer>,
  names: readonly string[],
  now: Date,
): Uint8Array<ArrayBuffer> {
  const serial = crypto.getRandomValues(new Uint8Array(16));
  const name = element(
    TAG.sequence,
    element(
      TAG.set,
      element(
        TAG.sequence,
        objectIdentifier("2.5.4.3"),
        element(TAG.utf8String, ascii("sockpipe")),
      ),
    ),
  );
  return element(
    TAG.sequence,
    element(0xa0, unsigned(new Uint8Array([2]))),
    unsigned(serial),
    ECDSA_WITH_SHA256,
    name,
    element(
      TAG.sequence,
      time(new Date(now.getTime() - VALID_BEFORE_MS)),
      time(new Date(now.getTime() + VALID_AFTER_MS)),
    ),
    name,
    publicKey,
    element(EXTENSIONS_TAG, element(TAG.sequence, ...extensions(names))),
  );
}

/** Extensions of RFC 5280 section 4.2.1: what the key is for, and its names. */
function extensions(names: readonly string[]): Uint8Array[] {
  const digitalSignature = new Uint8Array([TAG.bitString, 2, 7, 0x80]);
  return [
    // basicConstraints: no CA
    critical("2.5.29.19", element(TAG.sequence)),
    critical("2.5.29.15", digitalSignature),
    extension(
      "2.5.29.37",
      element(TAG.sequence, objectIdentifier("1.3.6.1.5.5.7.3.1")),
    ),
    extension("2.5.29.17", element(TAG.sequence, ...names.map(generalName))),
  ];
}

function extension(id: string, value: Uint8Array): Uint8Array {
  return element(
    TAG.sequence,
    objectIdentifier(id),
    element(TAG.octetString, value),
  );
}

function critical(id: string, value: Uint8Array): Uint8Array {
  return element(
    TAG.sequence,
    objectIdentifier(id),
    element(TAG.boolean, new Uint8Array([0xff])),
    element(TAG.octetString, value),
  );
}

function generalName(name: string): Uint8Array {
  const address = addressBytes(name);
  return address === undefined
    ? element(0x82, ascii(name))
    : element(0x87, address);
}

/** The 4 or 16 bytes of an IP address, or `undefined` for a host name. */
function addressBytes(name: string): Uint8Array | undefined {
  if (isIPv4(name)) return new Uint8Array(name.split(".").map(Number));
  if (!isIPv6(name)) return undefined;
  const [bare = ""] = name.split("%");
  // The URL parser writes every IPv6 address in hex groups, with at most one ::
  const { hostname } = new URL(`http://[${bare}]/`);
  const [left = "", right] = hostname.slice(1, -1).split("::");
  const before = left === "" ? [] : left.split(":");
  const after = right === undefined || right === "" ? [] : right.split(":");
  const zeros = Array(8 - before.length - after.length).fill("0");
  return new Uint8Array(
    [...before, ...zeros, ...after].map((group) => parseInt(group, 16))
      .flatMap((group) => [group >> 8, group & 0xff]),
  );
}

/** WebCrypto's r and s, one after the other, as RFC 3279 section 2.2.3 has them. */
function ecdsaSignature(raw: Uint8Array): Uint8Array {
  const half = raw.length / 2;
  return element(
    TAG.sequence,
    unsigned(raw.subarray(0, half)),
    unsigned(raw.subarray(half)),
  );
}

function bitString(bytes: Uint8Array): Uint8Array {
  return element(TAG.bitString, new Uint8Array(1), bytes);
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

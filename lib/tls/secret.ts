/**
 * The secret of `--secret-file`: 256 random bits that two machines share, how they
 * are written, and what is derived from them (docs/security.md).
 */

/** 32 bytes that nobody can guess. */
export type Secret = Uint8Array<ArrayBuffer>;

const SECRET_BYTES = 32;
const CHECK_BYTES = 3;

/** The alphabet of RFC 4648 section 6, in small letters: no 0, 1, 8 or 9. */
const BASE32 = "abcdefghijklmnopqrstuvwxyz234567";
const BITS = 5;
const LETTERS = (SECRET_BYTES + CHECK_BYTES) * 8 / BITS;
const GROUP_LETTERS = 7;

/** The beginning of every secret: format 1. */
const PREFIX = "sockpipe1";

/** Makes a secret that has never been seen before. */
export function newSecret(): Secret {
  return crypto.getRandomValues(new Uint8Array(SECRET_BYTES));
}

/** Writes a secret: `sockpipe1` and 8 groups of 7 letters, with a checksum. */
export async function formatSecret(secret: Secret): Promise<string> {
  const letters = toBase32([...secret, ...await checksumOf(secret)]);
  const groups = letters.match(new RegExp(`.{${GROUP_LETTERS}}`, "g")) ?? [];
  return [PREFIX, ...groups].join("-");
}

/**
 * Reads what {@linkcode formatSecret} writes. White space and a byte order mark at
 * its ends do not matter, nor do capital letters.
 *
 * @throws {SyntaxError} It is none; the message is the reason alone, and has no
 * part of the text.
 */
export async function parseSecret(text: string): Promise<Secret> {
  const [prefix, ...groups] = text.trim().toLowerCase().split("-");
  if (prefix !== PREFIX) throw new SyntaxError(foreignReason(prefix ?? ""));
  const letters = groups.join("");
  if (letters.length !== LETTERS) {
    throw new SyntaxError(
      `it is damaged: ${letters.length} of ${LETTERS} letters are there`,
    );
  }
  const bytes = fromBase32(letters);
  const secret = bytes?.slice(0, SECRET_BYTES);
  const check = secret && await checksumOf(secret);
  if (!secret || check?.join() !== bytes?.slice(SECRET_BYTES).join()) {
    throw new SyntaxError("there is a typo in it: its checksum is wrong");
  }
  return secret;
}

function foreignReason(prefix: string): string {
  return /^sockpipe\d+$/.test(prefix)
    ? "it is of a later version; use the same sockpipe on both sides"
    : "it is not a secret that sockpipe has made, and any other could be guessed; make one with --new-secret FILE";
}

/**
 * Computes the checksum, which tells a typo from another secret; anybody who knows
 * the secret can make it.
 */
async function checksumOf(secret: Secret): Promise<Uint8Array> {
  const text = new TextEncoder().encode(PREFIX);
  const digest = await crypto.subtle.digest(
    "SHA-256",
    new Uint8Array([...text, ...secret]),
  );
  return new Uint8Array(digest, 0, CHECK_BYTES);
}

/** Encodes bytes as base32; their number must be a multiple of 5. */
function toBase32(bytes: readonly number[]): string {
  let bits = 0n;
  for (const byte of bytes) bits = bits << 8n | BigInt(byte);
  const letters: string[] = [];
  for (let rest = bytes.length * 8 / BITS; rest > 0; rest--) {
    letters.unshift(BASE32.charAt(Number(bits & 31n)));
    bits >>= 5n;
  }
  return letters.join("");
}

/**
 * Decodes base32, whose letters must be a multiple of 8; `undefined` when one is
 * not of base32.
 */
function fromBase32(letters: string): Secret | undefined {
  let bits = 0n;
  for (const letter of letters) {
    const value = BASE32.indexOf(letter);
    if (value < 0) return undefined;
    bits = bits << 5n | BigInt(value);
  }
  const bytes = new Uint8Array(letters.length * BITS / 8);
  for (let at = bytes.length - 1; at >= 0; at--) {
    bytes[at] = Number(bits & 255n);
    bits >>= 8n;
  }
  return bytes;
}

/** The uses of a secret; what is derived for one says nothing about another. */
export type Purpose = "listener" | "dialler" | "receipt";

/** Derives 32 bytes: HKDF-SHA256 (RFC 5869) without a salt. */
export async function derive(
  secret: Secret,
  purpose: Purpose,
): Promise<Uint8Array<ArrayBuffer>> {
  const extractable = false;
  const key = await crypto.subtle.importKey(
    "raw",
    secret,
    "HKDF",
    extractable,
    ["deriveBits"],
  );
  const info = new TextEncoder().encode(`sockpipe 1 ${purpose}`);
  const bits = await crypto.subtle.deriveBits(
    { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info },
    key,
    256,
  );
  return new Uint8Array(bits);
}

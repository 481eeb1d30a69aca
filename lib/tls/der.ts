/**
 * DER (X.690), as far as X.509 needs it: elements with a one-byte tag and a
 * definite, shortest length. Nothing about certificates.
 */

/** The tags that a certificate is made of. */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectIdentifier: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** The tag of a certificate's extensions (RFC 5280 section 4.1). */
export const EXTENSIONS_TAG = 0xa3;

/** One element, and where it lies. */
export interface Element {
  readonly tag: number;
  readonly content: Uint8Array<ArrayBuffer>;
  /** Tag, length and content. */
  readonly whole: Uint8Array<ArrayBuffer>;
}

/**
 * Reads the elements that lie one after the other in `bytes`.
 *
 * @returns `undefined` when the bytes are not exactly that.
 */
export function readElements(
  bytes: Uint8Array<ArrayBuffer>,
): Element[] | undefined {
  const elements: Element[] = [];
  for (let rest = bytes; rest.length > 0;) {
    const element = readElement(rest);
    if (element === undefined) return undefined;
    elements.push(element);
    rest = rest.subarray(element.whole.length);
  }
  return elements;
}

function readElement(bytes: Uint8Array<ArrayBuffer>): Element | undefined {
  const [tag, first] = bytes;
  if (tag === undefined || first === undefined) return undefined;
  // A tag of more than one byte; no certificate has one.
  if ((tag & 0x1f) === 0x1f) return undefined;
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  if (first === 0x80 || lengthBytes > 3) return undefined;
  let length = first;
  if (lengthBytes > 0) {
    const digits = bytes.subarray(2, 2 + lengthBytes);
    length = digits.reduce((sum, digit) => sum * 256 + digit, 0);
    const isShortest = length >= 0x80 && digits[0] !== 0;
    if (digits.length < lengthBytes || !isShortest) return undefined;
  }
  const start = 2 + lengthBytes;
  const whole = bytes.subarray(0, start + length);
  if (whole.length < start + length) return undefined;
  return { tag, content: whole.subarray(start), whole };
}

/** Encodes an element, out of its content's parts. */
export function encodeElement(
  tag: number,
  ...parts: readonly Uint8Array[]
): Uint8Array<ArrayBuffer> {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const head = [tag, ...lengthOf(length)];
  const bytes = new Uint8Array(head.length + length);
  bytes.set(head);
  let at = head.length;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function lengthOf(length: number): number[] {
  if (length < 0x80) return [length];
  const digits: number[] = [];
  for (let rest = length; rest > 0; rest >>>= 8) digits.unshift(rest & 0xff);
  return [0x80 | digits.length, ...digits];
}

/** Encodes an integer of at least 0, given as its bytes, the highest first. */
export function encodeInteger(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  const shortest = bytes.subarray(start);
  // A first bit of 1 would make it negative.
  const isHigh = (shortest[0] ?? 0) >= 0x80;
  return encodeElement(TAG.integer, new Uint8Array(isHigh ? 1 : 0), shortest);
}

/** Encodes an object identifier such as "1.2.840.10045.4.3.2". */
export function objectIdentifier(dotted: string): Uint8Array<ArrayBuffer> {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  const bytes = [first * 40 + second, ...rest].flatMap((arc) => {
    const digits = [arc & 0x7f];
    for (let high = arc >>> 7; high > 0; high >>>= 7) {
      digits.unshift(0x80 | high & 0x7f);
    }
    return digits;
  });
  return encodeElement(TAG.objectIdentifier, new Uint8Array(bytes));
}

/** Encodes a time to the second, as RFC 5280 section 4.1.2.5 wants it written. */
export function encodeTime(date: Date): Uint8Array<ArrayBuffer> {
  const digits = date.toISOString().replace(/\.\d+|[-:T]/g, "");
  const isShort = date.getUTCFullYear() < 2050;
  return encodeElement(
    isShort ? TAG.utcTime : TAG.generalizedTime,
    new TextEncoder().encode(isShort ? digits.slice(2) : digits),
  );
}

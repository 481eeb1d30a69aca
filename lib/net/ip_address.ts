/** IP addresses as texts and as bytes. */

/**
 * The first bytes of an IPv4 address that is written as an IPv6 one (RFC 4291,
 * 2.5.5.2).
 */
const MAPPED_PREFIX = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255];

/**
 * Reads an IP address without a zone. A number of an IPv4 address with a leading
 * zero is refused, since some programs take it for octal.
 *
 * @returns 4 or 16 bytes in network order; `undefined` when the text is none.
 */
export function parseIp(text: string): Uint8Array<ArrayBuffer> | undefined {
  const parts = text.split(".");
  if (parts.length === 4 && parts.every(isOctet)) {
    return Uint8Array.from(parts, Number);
  }
  if (!/^[0-9a-f:.]*:[0-9a-f:.]*$/i.test(text)) return undefined;
  const url = URL.parse(`http://[${text}]/`);
  return url === null ? undefined : fromCanonical(url.hostname.slice(1, -1));
}

/** Whether a text is a number of 0 to 255 without leading zeros. */
function isOctet(text: string): boolean {
  return /^(0|[1-9]\d{0,2})$/.test(text) && Number(text) <= 255;
}

/** @param text An IPv6 address in the form of RFC 5952. */
function fromCanonical(text: string): Uint8Array<ArrayBuffer> {
  const [head = "", tail] = text.split("::");
  const groups = (part = "") => part === "" ? [] : part.split(":");
  const [first, last] = [groups(head), groups(tail)];
  const zeros = Array(8 - first.length - last.length).fill("0");
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  for (const [index, group] of [...first, ...zeros, ...last].entries()) {
    view.setUint16(2 * index, parseInt(group, 16));
  }
  return bytes;
}

/**
 * Writes an IP address, IPv6 in the form of RFC 5952.
 *
 * @param bytes 4 or 16 bytes in network order.
 */
export function formatIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups = Array.from(
    { length: 8 },
    (_, i) => ((bytes[2 * i] ?? 0) << 8 | (bytes[2 * i + 1] ?? 0)).toString(16),
  );
  return new URL(`http://[${groups.join(":")}]/`).hostname.slice(1, -1);
}

/**
 * Takes an IPv4 address that was written as an IPv6 one for what it is.
 *
 * @param bytes As from {@linkcode parseIp}.
 * @returns 4 bytes for an address of ::ffff:0:0/96, else the same.
 */
export function unmappedIp(
  bytes: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  const isMapped = bytes.length === 16 &&
    MAPPED_PREFIX.every((byte, index) => bytes[index] === byte);
  return isMapped ? bytes.slice(MAPPED_PREFIX.length) : bytes;
}

/** Whether the text is an IPv4 address in dotted form. */
export function isIPv4(text: string): boolean {
  return parseIp(text)?.length === 4;
}

/** Whether the text is an IPv6 address, with or without a zone. */
export function isIPv6(text: string): boolean {
  return parseIp(text.replace(/%[\w.-]+$/, ""))?.length === 16;
}

/** Writes an IPv4 address that arrived at an IPv6 socket as people know it. */
export function unmapped(hostname: string): string {
  // Each connection has its addresses written.
  if (!hostname.includes(":")) return hostname;
  const bytes = parseIp(hostname);
  if (bytes?.length !== 16) return hostname;
  const ip = unmappedIp(bytes);
  return ip.length === 4 ? formatIp(ip) : hostname;
}

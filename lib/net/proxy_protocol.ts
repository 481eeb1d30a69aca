/**
 * The PROXY protocol of HAProxy, versions 1 and 2: the first bytes of a connection
 * that somebody passes on, which say whose it is.
 * https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
 */

import { formatIp, parseIp, unmappedIp } from "./ip_address.ts";
import type { ProxyVersion } from "./proxy_versions.ts";
import type { Endpoints, Socket } from "./socket.ts";

/** A connection that began with something else than a header. */
export class ProxyHeaderError extends Error {
  override readonly name = "ProxyHeaderError";
}

const encoder = new TextEncoder();

/** The beginning of version 2, with which no version 1 and no text begins. */
const SIGNATURE = encoder.encode("\r\n\r\n\0\r\nQUIT\n");

const VERSION_2 = 0x20;
const COMMAND = { local: 0, proxy: 1 } as const;
/** The family and TCP, by the length of an address. */
const FAMILY: Partial<Record<number, number>> = { 4: 0x11, 16: 0x21 };

/**
 * Makes a header. For endpoints that are no TCP ones, or not of one family, it says
 * that nothing is known.
 */
export function proxyHeader(
  version: ProxyVersion,
  source: Deno.Addr,
  destination: Deno.Addr,
): Uint8Array<ArrayBuffer> {
  const [from, to] = [ipOf(source), ipOf(destination)];
  const endpoints = from !== undefined && from.ip.length === to?.ip.length
    ? { from, to }
    : undefined;
  return version === "v1" ? headerV1(endpoints) : headerV2(endpoints);
}

interface IpAndPort {
  readonly ip: Uint8Array;
  readonly port: number;
}

interface IpEndpoints {
  readonly from: IpAndPort;
  readonly to: IpAndPort;
}

function ipOf(address: Deno.Addr): IpAndPort | undefined {
  if (!("hostname" in address)) return undefined;
  const ip = parseIp(address.hostname.replace(/%.*$/, ""));
  return ip && { ip: unmappedIp(ip), port: address.port };
}

function headerV1(endpoints: IpEndpoints | undefined): Uint8Array<ArrayBuffer> {
  if (endpoints === undefined) return encoder.encode("PROXY UNKNOWN\r\n");
  const { from, to } = endpoints;
  const family = from.ip.length === 4 ? "TCP4" : "TCP6";
  const ips = `${formatIp(from.ip)} ${formatIp(to.ip)}`;
  return encoder.encode(`PROXY ${family} ${ips} ${from.port} ${to.port}\r\n`);
}

function headerV2(endpoints: IpEndpoints | undefined): Uint8Array<ArrayBuffer> {
  const local = [VERSION_2 | COMMAND.local, 0, 0, 0];
  if (endpoints === undefined) return Uint8Array.of(...SIGNATURE, ...local);
  const { from, to } = endpoints;
  const ports = [from.port, to.port].flatMap((port) => [port >> 8, port & 255]);
  const block = [...from.ip, ...to.ip, ...ports];
  const family = FAMILY[from.ip.length] ?? 0;
  const start = [VERSION_2 | COMMAND.proxy, family, 0, block.length];
  return Uint8Array.of(...SIGNATURE, ...start, ...block);
}

/** The longest line of version 1, with its CR LF. */
const MAX_LINE_BYTES = 107;

/**
 * The most that the rest of a header of version 2 may have: its addresses, and what
 * is passed by beside them, such as a name of TLS. The header has room for 64 KiB.
 */
const MAX_BLOCK_BYTES = 4096;

/**
 * Reads a header of either version, and not a byte behind it.
 *
 * @returns `undefined` when it says that the connection is the sender's own, or
 * that nothing is known.
 * @throws {ProxyHeaderError} There is none, or it is damaged or too long.
 * @throws What reading throws.
 */
export async function readProxyHeader(
  socket: Pick<Socket, "read">,
): Promise<Endpoints | undefined> {
  // No header of either version is shorter.
  const start = await readExactly(socket, SIGNATURE.length);
  if (startsWith(start, SIGNATURE)) return await readBlock(socket);
  if (!startsWith(start, encoder.encode("PROXY "))) {
    throw new ProxyHeaderError("it does not begin with a PROXY header");
  }
  let line = new TextDecoder("latin1").decode(start);
  while (!line.endsWith("\r\n")) {
    if (line.length >= MAX_LINE_BYTES) throw damaged();
    line += String.fromCharCode(...await readExactly(socket, 1));
  }
  return readLine(line);
}

function readLine(line: string): Endpoints | undefined {
  if (/^PROXY UNKNOWN( .*)?\r\n$/.test(line)) return undefined;
  const [, digit = "", from = "", to = "", fromPort, toPort] =
    /^PROXY TCP([46]) (\S+) (\S+) (\d{1,5}) (\d{1,5})\r\n$/.exec(line) ?? [];
  const length = digit === "4" ? 4 : 16;
  const isWhole = [from, to].every((text) => parseIp(text)?.length === length);
  const ports = [Number(fromPort), Number(toPort)] as const;
  if (!isWhole || !ports.every((port) => port <= 65535)) throw damaged();
  return endpointsOf(from, ports[0], to, ports[1]);
}

async function readBlock(
  socket: Pick<Socket, "read">,
): Promise<Endpoints | undefined> {
  const [first = 0, family, ...size] = await readExactly(socket, 4);
  const command = first & 0x0f;
  if ((first & 0xf0) !== VERSION_2 || command > COMMAND.proxy) throw damaged();
  const length = new DataView(Uint8Array.from(size).buffer).getUint16(0);
  if (length > MAX_BLOCK_BYTES) throw damaged();
  const block = await readExactly(socket, length);
  const ipLength = family === FAMILY[4] ? 4 : family === FAMILY[16] ? 16 : 0;
  if (command === COMMAND.local || ipLength === 0) return undefined;
  if (length < 2 * ipLength + 4) throw damaged();
  const view = new DataView(block.buffer);
  return endpointsOf(
    formatIp(block.subarray(0, ipLength)),
    view.getUint16(2 * ipLength),
    formatIp(block.subarray(ipLength, 2 * ipLength)),
    view.getUint16(2 * ipLength + 2),
  );
}

function endpointsOf(
  from: string,
  fromPort: number,
  to: string,
  toPort: number,
): Endpoints {
  return {
    source: { transport: "tcp", hostname: from, port: fromPort },
    destination: { transport: "tcp", hostname: to, port: toPort },
  };
}

function damaged(): ProxyHeaderError {
  return new ProxyHeaderError("its PROXY header is damaged");
}

function startsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  return start.every((byte, index) => bytes[index] === byte);
}

async function readExactly(
  socket: Pick<Socket, "read">,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  for (let filled = 0; filled < length;) {
    const count = await socket.read(bytes.subarray(filled));
    if (count === null) {
      throw new ProxyHeaderError("it ended before a PROXY header was whole");
    }
    filled += count;
  }
  return bytes;
}

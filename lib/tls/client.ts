/** The connecting side of TLS: the peers that it trusts, and its own key, if any. */

import {
  HandshakeCutError,
  HandshakeTimeoutError,
  RefusedError,
} from "../base/errors.ts";
import { formatAddress, type TcpAddress } from "../net/address.ts";
import type { Socket } from "../net/socket.ts";
import type { Reporter } from "../report/reporter.ts";
import { ignoreTlsVariables } from "./environment.ts";
import { handshake } from "./handshake.ts";
import {
  firstCertificate,
  type KeyPair,
  readAuthorities,
  readKeyPair,
  systemAuthorities,
} from "./key_files.ts";
import { loadNodeTls } from "./load_node_tls.ts";
import { NativeTls, tcpConn, tlsConn } from "./native_tls.ts";
import { pinOfCertificate } from "./pin.ts";
import type { TlsCircumstances } from "./reasons.ts";
import type { TlsSettings } from "./settings.ts";
import type { TlsClient, TlsStream } from "./tls.ts";

/**
 * Reads all that the connecting side needs; nothing is connected yet.
 *
 * @throws {RefusedError} A key or certificate is of no use.
 * @throws {LocalIoError} A file cannot be read.
 * @throws {UsageError} This runtime cannot do it.
 */
export async function prepareClient(
  tls: TlsSettings,
  address: TcpAddress,
  { connectTimeoutMs }: { readonly connectTimeoutMs: number },
  report: Reporter,
): Promise<TlsClient> {
  ignoreTlsVariables();
  const target: Target = {
    peer: formatAddress(address),
    // A zone is a name of this machine's, and in no certificate.
    name: (tls.name ?? address.hostname).replace(/%.*$/, ""),
    limitMs: connectTimeoutMs,
    keyPair: tls.certFile === undefined
      ? undefined
      : await readKeyPair({ cert: tls.certFile, key: tls.keyFile }),
  };
  return tls.pin === undefined && !tls.insecure
    ? await verifyByAuthorities(tls, target)
    : await verifyByPin(tls, target, report);
}

/** The peer, and what there is to show it. */
interface Target {
  /** Its address, for messages. */
  readonly peer: string;
  /** The name that its certificate has to be for. */
  readonly name: string;
  readonly limitMs: number;
  readonly keyPair: KeyPair | undefined;
}

/** With a pin; without one, as `--tls-insecure` wants it, not at all. */
async function verifyByPin(
  { pin, alpn }: TlsSettings,
  target: Target,
  report: Reporter,
): Promise<TlsClient> {
  const { name, keyPair, peer } = target;
  const { startClient } = await loadNodeTls(
    pin === undefined ? "--tls-insecure" : "--tls-pin",
  );
  const { requirePin } = await import("./verify_peer.ts");
  if (pin === undefined) report.say({ event: "insecure", peer });
  const circumstances = {
    role: "connect",
    name,
    hasCertificate: keyPair !== undefined,
  } as const;
  return {
    secure: (socket, signal) => {
      const stream = startClient(socket, { name, alpn, keyPair });
      const judge = pin === undefined
        ? undefined
        : () => requirePin(stream.evidence(), [pin], "--tls-pin");
      return secure(stream, target, { signal, circumstances, judge });
    },
  };
}

async function verifyByAuthorities(
  { alpn, caFile }: TlsSettings,
  target: Target,
): Promise<TlsClient> {
  const { name, keyPair } = target;
  const own = caFile && await readAuthorities("--tls-ca", caFile);
  const authority = own ? firstCertificate(own) : undefined;
  const circumstances = {
    role: "connect",
    name,
    authorityPin: authority && await pinOfCertificate(authority),
    hasCertificate: keyPair !== undefined,
  } as const;
  const options = {
    caCerts: [await systemAuthorities(), own ?? ""].filter((pem) => pem !== ""),
    ...(alpn.length > 0 && { alpnProtocols: [...alpn] }),
  };
  const finish = (conn: Deno.TlsConn, signal: AbortSignal) =>
    secure(new NativeTls(conn), target, { signal, circumstances });
  if (keyPair === undefined) {
    const named = { ...options, hostname: name };
    return {
      secure: async (socket, signal) =>
        await finish(await Deno.startTls(tcpConn(socket), named), signal),
    };
  }
  const named = { ...options, ...keyPair, [SERVER_NAME]: name };
  return {
    dial: ({ hostname, port }) => Deno.connectTls({ ...named, hostname, port }),
    secure: (socket, signal) => finish(tlsConn(socket), signal),
  };
}

/**
 * The name to verify when it is not that which is connected to. Deno.startTls can
 * be told the name but not a client's key, Deno.connectTls the other way round but
 * for this, which the runtime has for its own use. Were it gone, the name would not
 * fit and the peer be refused.
 */
const SERVER_NAME = Symbol.for("unstableServerName");

/** Does the handshake; what goes wrong is said in a sentence. */
async function secure(
  stream: TlsStream,
  { peer, limitMs }: Target,
  options: {
    readonly signal: AbortSignal;
    readonly circumstances: TlsCircumstances;
    readonly judge?: (() => Promise<void>) | undefined;
  },
): Promise<Socket> {
  const limitedBy = " (--connect-timeout)";
  try {
    return await handshake(stream, { ...options, peer, limitMs, limitedBy });
  } catch (error) {
    if (options.signal.aborted || !(error instanceof Error)) throw error;
    const text = `Cannot set up TLS with "${peer}": ${error.message}`;
    const kinds = [HandshakeTimeoutError, HandshakeCutError];
    const Kind = kinds.find((kind) => error instanceof kind) ?? RefusedError;
    throw new Kind(text, { cause: error });
  }
}

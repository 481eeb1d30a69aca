/** The connecting side of TLS: the peers that it trusts, and its own key, if any. */

import { UsageError } from "../base/errors.ts";
import { type Address, formatAddress } from "../net/address.ts";
import type { Reporter } from "../report/reporter.ts";
import { ignoreTlsVariables } from "./environment.ts";
import { handshakeAsClient } from "./handshake.ts";
import {
  firstCertificate,
  type KeyPair,
  readAuthorities,
  readKeyPair,
  systemAuthorities,
} from "./key_files.ts";
import { hasNodeTls, loadNodeTls } from "./load_node_tls.ts";
import { NativeTls, startNativeTls, tlsConn } from "./native_tls.ts";
import type { Pin } from "./pin.ts";
import { pinOfCertificate } from "./x509.ts";
import type { CertificateSettings, TlsSettings } from "./settings.ts";
import type { TlsClient } from "./tls.ts";

/**
 * Reads all that the connecting side needs; nothing is connected yet.
 *
 * @throws {RefusedError} A key or certificate is of no use.
 * @throws {LocalIoError} A file cannot be read.
 * @throws {UsageError} This runtime cannot do it, or it does not go over TCP.
 */
export async function prepareClient(
  tls: TlsSettings,
  address: Address,
  { connectTimeoutMs }: { readonly connectTimeoutMs: number },
  report: Pick<Reporter, "say">,
): Promise<TlsClient> {
  if (address.transport !== "tcp") {
    throw new UsageError("TLS and a secret go over TCP only");
  }
  ignoreTlsVariables();
  const peer = formatAddress(address);
  if (tls.kind === "secret") {
    const { prepareSecretClient } = await import("./secret_client.ts");
    return await prepareSecretClient(tls, { peer, limitMs: connectTimeoutMs });
  }
  const target: Target = {
    peer,
    // A zone is a name of this machine's, and in no certificate.
    name: (tls.name ?? address.hostname).replace(/%.*$/, ""),
    limitMs: connectTimeoutMs,
    keyPair: tls.certFile === undefined
      ? undefined
      : await readKeyPair({ cert: tls.certFile, key: tls.keyFile }),
  };
  return tls.pin === undefined && !tls.insecure && !isProvenByToken(tls)
    ? await prepareNativeTls(tls, target)
    : await prepareNodeTls(tls, target, report);
}

/**
 * Whether the token alone proves the listener, by a proof that is bound to the key
 * of this connection (`docs/protocol.md` section 10).
 */
function isProvenByToken(
  { hasToken, caFile, name }: CertificateSettings,
): boolean {
  return hasToken && caFile === undefined && name === undefined && hasNodeTls();
}

/** The peer, and our certificate for it. */
interface Target {
  /** Its address, for messages. */
  readonly peer: string;
  /** The name that its certificate has to be for. */
  readonly name: string;
  readonly limitMs: number;
  readonly keyPair: KeyPair | undefined;
}

/**
 * Prepares `node:tls`: the peer is verified by a pin, or not here (the token proves
 * its key later; --tls-insecure wants nothing).
 */
async function prepareNodeTls(
  { pin, alpn, insecure, hasToken }: CertificateSettings,
  target: Target,
  report: Pick<Reporter, "say">,
): Promise<TlsClient> {
  const { name, keyPair, peer, limitMs } = target;
  const { startClient } = await loadNodeTls(
    pin === undefined ? "--tls-insecure" : "--tls-pin",
  );
  const { peerPin, requirePin } = await import("./verify_peer.ts");
  if (insecure) report.say({ event: "insecure", peer });
  const context = {
    role: "connect",
    name,
    hasCertificate: keyPair !== undefined,
  } as const;
  return {
    secure: async (socket, signal) => {
      const stream = startClient(socket, { name, alpn, keyPair });
      let listenerPin: Pin | undefined;
      const verifyPeer = async () => {
        const evidence = stream.evidence();
        if (pin !== undefined) await requirePin(evidence, [pin], "--tls-pin");
        if (hasToken) listenerPin = await peerPin(evidence);
      };
      const options = {
        peer,
        limitMs,
        signal,
        context,
        verifyPeer,
        report,
      };
      const secured = await handshakeAsClient(() => stream, options);
      return Object.assign(secured, { listenerPin });
    },
  };
}

/** Prepares Deno's own TLS: the peer is verified by the CAs that are trusted. */
async function prepareNativeTls(
  { alpn, caFile }: CertificateSettings,
  target: Target,
): Promise<TlsClient> {
  const { name, keyPair, peer, limitMs } = target;
  const own = caFile && await readAuthorities("--tls-ca", caFile);
  const authority = own ? firstCertificate(own) : undefined;
  const context = {
    role: "connect",
    name,
    authorityPin: authority && await pinOfCertificate(authority),
    hasCertificate: keyPair !== undefined,
  } as const;
  const options = {
    caCerts: [await systemAuthorities(), own ?? ""].filter((pem) => pem !== ""),
    ...(alpn.length > 0 && { alpnProtocols: [...alpn] }),
  };
  const common = { peer, limitMs, context };
  if (keyPair === undefined) {
    const named = { ...options, hostname: name };
    return {
      secure: (socket, signal) => {
        const start = () => startNativeTls(socket, named);
        return handshakeAsClient(start, { ...common, signal });
      },
    };
  }
  const named = { ...options, ...keyPair, [SERVER_NAME]: name };
  return {
    dial: ({ hostname, port }) => Deno.connectTls({ ...named, hostname, port }),
    secure: (socket, signal) => {
      const start = () => new NativeTls(tlsConn(socket));
      return handshakeAsClient(start, { ...common, signal });
    },
  };
}

/**
 * The name to verify when it is not that which is connected to. Deno.startTls can
 * be told the name but not a client's key, Deno.connectTls the other way round but
 * for this, which the runtime has for its own use. Were it gone, the name would not
 * fit and the peer be refused.
 */
const SERVER_NAME = Symbol.for("unstableServerName");

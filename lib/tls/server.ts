/** The listening side of TLS: its key, and the clients that it accepts. */

import { UsageError } from "../base/errors.ts";
import {
  type Address,
  formatAddress,
  type TcpAddress,
} from "../net/address.ts";
import { isIPv6 } from "../net/ip_address.ts";
import type { Reporter } from "../report/reporter.ts";
import { ignoreTlsVariables } from "./environment.ts";
import { CLIENT_HANDSHAKE_MS, handshake } from "./handshake.ts";
import {
  firstCertificate,
  type KeyPair,
  readClientAuthorities,
  readKeyPair,
} from "./key_files.ts";
import { NativeTls, tlsConn } from "./native_tls.ts";
import { pinOfCertificate } from "./x509.ts";
import type { CertificateSettings, TlsSettings } from "./settings.ts";
import type { TlsServer } from "./tls.ts";
import { loadNodeTls } from "./load_node_tls.ts";

/** The options that all handshakes of clients share. */
const HANDSHAKE = {
  limitMs: CLIENT_HANDSHAKE_MS,
  limitHint: "",
  context: { role: "listen" },
} as const;

/**
 * Reads or makes all that the listening side needs; nothing is opened yet.
 *
 * @throws {RefusedError} A key or certificate is of no use.
 * @throws {LocalIoError} A file cannot be read.
 * @throws {UsageError} This runtime cannot do it, or it does not go over TCP.
 */
export async function prepareServer(
  tls: TlsSettings,
  address: Address,
  report: Pick<Reporter, "say">,
): Promise<TlsServer> {
  if (address.transport !== "tcp") throw new UsageError(TLS_NEEDS_TCP);
  ignoreTlsVariables();
  if (tls.kind === "secret") {
    const { prepareSecretServer } = await import("./secret_server.ts");
    return await prepareSecretServer(tls);
  }
  const isNew = tls.certFile === undefined;
  const keyPair = tls.certFile === undefined
    ? await (await import("./self_signed.ts")).makeSelfSigned(namesFor(address))
    : await readKeyPair({ cert: tls.certFile, key: tls.keyFile });
  const certificate = firstCertificate(keyPair.cert);
  const pin = certificate && await pinOfCertificate(certificate);
  const asksNobody = tls.clientCaFile === undefined &&
    tls.clientPins.length === 0;
  const clientCheck = asksNobody
    ? acceptAnyClient(tls, keyPair)
    : await askForCertificates(tls, keyPair, report);
  const identity = pin === undefined ? undefined : {
    pin,
    isNew,
    invitation: (listening: string) => invitation(address, listening, pin),
  };
  return { ...clientCheck, identity };
}

const TLS_NEEDS_TCP = "TLS and a secret go over TCP only";

function invitation(
  { hostname }: TcpAddress,
  listening: string,
  pin: string,
): string {
  const port = /\d+$/.exec(listening)?.[0] ?? "";
  const isWildcard = ["*", "::", "0.0.0.0"].includes(hostname);
  const bracketed = isIPv6(hostname) ? `[${hostname}]` : hostname;
  const host = isWildcard ? "THIS-MACHINE" : bracketed;
  return `sockpipe --connect ${host}:${port} --tls --tls-pin ${pin}`;
}

type ClientCheck = Pick<TlsServer, "listenTls" | "secure">;

function acceptAnyClient(
  { alpn }: CertificateSettings,
  { cert, key }: KeyPair,
): ClientCheck {
  return {
    listenTls: {
      cert,
      key,
      ...(alpn.length > 0 && { alpnProtocols: [...alpn] }),
    },
    secure: (socket, signal) =>
      handshake(new NativeTls(tlsConn(socket)), {
        ...HANDSHAKE,
        signal,
        peer: formatAddress(socket.remoteAddr),
      }),
  };
}

/** Prepares to ask clients for certificates, by `node:tls`: Deno's own TLS does not. */
async function askForCertificates(
  { alpn, clientCaFile, clientPins }: CertificateSettings,
  { cert, key }: KeyPair,
  report: Pick<Reporter, "say">,
): Promise<ClientCheck> {
  const option = clientCaFile ? "--tls-client-ca" : "--tls-client-pin";
  const { startServer } = await loadNodeTls(option);
  const { requireAuthority, requirePin, VerifiedCertificates } = await import(
    "./verify_peer.ts"
  );
  const authorities = clientCaFile === undefined
    ? undefined
    : await readClientAuthorities(option, clientCaFile);
  const verified = new VerifiedCertificates();
  return {
    listenTls: undefined,
    secure: (socket, signal) => {
      const stream = startServer(socket, {
        keyPair: { cert, key },
        alpn,
        authorities,
      });
      return handshake(stream, {
        ...HANDSHAKE,
        signal,
        peer: formatAddress(socket.remoteAddr),
        report,
        verifyPeer: () =>
          authorities === undefined
            ? requirePin(stream.evidence(), clientPins, option)
            : requireAuthority(stream.evidence(), verified, option),
      });
    },
  };
}

/** Lists the names by which this machine reaches its own listener. */
function namesFor({ hostname }: TcpAddress): string[] {
  const names = ["localhost", "127.0.0.1", "::1"];
  return hostname === "*" || names.includes(hostname)
    ? names
    : [hostname, ...names];
}

/**
 * The reasons of TLS failures, as sentences that a person can act on. The two TLS
 * implementations say it in the words of the library rustls, which nobody else
 * speaks.
 */

import { reasonOf, RefusedError } from "../base/errors.ts";

/** The facts about this run that the sentences depend on. */
export interface TlsContext {
  readonly role: "listen" | "connect";
  /** The name that the certificate was checked for. */
  readonly name?: string;
  /** The pin of a certificate of a CA in --tls-ca, if the user gave one. */
  readonly authorityPin?: string | undefined;
  /** The option with the secret by which the sides know each other, if there is one. */
  readonly secretOption?: string;
  /** Whether we have a certificate to show as the client. */
  readonly hasCertificate?: boolean;
}

/** Writes the reason why a handshake failed, without a period. */
export function handshakeReason(
  error: unknown,
  context: TlsContext,
): string {
  const text = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && "code" in error ? error.code : "";
  if (error instanceof RefusedError) return text;
  if (error instanceof Deno.errors.UnexpectedEof) {
    return "the peer ended the connection during the handshake";
  }
  if (error instanceof Deno.errors.NotConnected) {
    return "the handshake failed: connection reset";
  }
  const alert = /received fatal alert: (\w+)/.exec(text)?.[1] ??
    alertOfNode(String(code));
  if (context.secretOption !== undefined) {
    return secretReason(text, alert, context);
  }
  if (alert !== undefined) return alertReason(alert, context);
  if (!speaksTls(error)) {
    return context.role === "connect"
      ? "the peer does not speak TLS; drop --tls, or start it there"
      : "it does not speak TLS";
  }
  if (/peer is incompatible|known protocol|protocol version/i.test(text)) {
    return "the peer has no version, cipher or protocol in common with us (TLS 1.2 or 1.3)";
  }
  if (
    code === "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE" ||
    text.includes("peer sent no certificates")
  ) return "it has no client certificate";
  return certificateReason(text, context) ??
    `the handshake failed: ${reasonOf(error)}`;
}

/** Whether the peer speaks TLS, as far as the failure of a handshake tells. */
export function speaksTls(error: unknown): boolean {
  return !(error instanceof Error) ||
    !error.message.includes("corrupt message") &&
      !("code" in error && error.code === "ERR_SSL_WRONG_VERSION_NUMBER");
}

/** Writes the reason of a failure where both sides should have one secret. */
function secretReason(
  text: string,
  alert: string | undefined,
  { role, secretOption = "" }: TlsContext,
): string {
  if (role === "listen") {
    if (alert !== undefined) return "it has another secret, or none";
    return text.includes("corrupt message")
      ? "it does not speak TLS, as a client with the secret does"
      : `the handshake failed: ${text}`;
  }
  if (text.includes("corrupt message")) {
    return "the peer does not speak TLS; start it with --secret-file, too";
  }
  return alert !== undefined || /certificate/i.test(text)
    ? `it has another secret than that of ${secretOption}, or none; nothing was sent`
    : `the handshake failed: ${text}`;
}

/**
 * Writes what is wrong with the peer's certificate; `undefined` when the text is
 * about something else.
 */
function certificateReason(
  text: string,
  { role, name = "", authorityPin }: TlsContext,
): string | undefined {
  // Who signed a client's is looked at after the handshake, by authorityReason.
  if (role === "listen" && /BadSignature|first certificate/.test(text)) {
    return "it has not proved to have the key of its certificate, or that one cannot be read (X.509 v3)";
  }
  if (text.includes("UnknownIssuer") || /first certificate/.test(text)) {
    return "its certificate is signed by a CA that is not trusted here; give that CA's certificate with --tls-ca FILE, or the pin of the key with --tls-pin";
  }
  if (text.includes("BadSignature")) {
    return "its certificate is damaged, or signed by another CA with the name of one that is trusted here";
  }
  const names = /is only valid for (.*)$/s.exec(text)?.[1];
  if (names !== undefined) {
    const list = [
      ...names.matchAll(/(?:DnsName\("([^"]*)"\)|IpAddress\(([^)]*)\))/g),
    ]
      .map(([, dns, ip]) => dns ?? ip);
    return `its certificate is not for "${name}" but for ${
      list.join(", ")
    }; if one of these is meant, give it with --tls-name`;
  }
  if (text.includes("not valid for any names")) {
    return `its certificate is for no name at all, so not for "${name}"; pin its key with --tls-pin instead`;
  }
  if (text.includes("not valid for name")) {
    return `its certificate is not for "${name}"; give the right name with --tls-name`;
  }
  const after = /not valid after (\d+)/.exec(text)?.[1];
  if (after !== undefined) {
    return `its certificate expired on ${
      dateOf(after)
    }; it needs a new one there`;
  }
  const before = /not valid before (\d+)/.exec(text)?.[1];
  if (before !== undefined) {
    return `its certificate is not valid before ${
      dateOf(before)
    }; check the clocks on both sides`;
  }
  if (text.includes("CaUsedAsEndEntity")) {
    return "its certificate is one of a CA (openssl req -x509 makes such), which does not stand for a server; " +
      (authorityPin === undefined
        ? "pin its key with --tls-pin instead"
        : `if it is the one in --tls-ca, give --tls-pin ${authorityPin} instead`);
  }
  if (text.includes("EndEntityUsedAsCa")) {
    return "its certificate is signed by somebody who is no CA";
  }
  if (/InvalidPurpose|extended key usage/.test(text)) {
    return "its certificate is not for servers (extended key usage without serverAuth)";
  }
  const other = /invalid peer certificate: (.*)$/s.exec(text)?.[1];
  return other === undefined
    ? undefined
    : `its certificate is not acceptable: ${other}`;
}

/** A certificate's dates, as `node:crypto` shows them. */
export interface Validity {
  readonly validFrom: string;
  readonly validTo: string;
}

/**
 * Writes why a client's certificate is refused. Its dates come first.
 *
 * @param verdict.isVouchedFor Whether the TLS library has found it to be good.
 * @param verdict.option The option that the CAs come from.
 * @returns `undefined` when it lets the client in.
 */
export function authorityReason(
  { validFrom, validTo }: Validity,
  verdict: { readonly isVouchedFor: boolean; readonly option: string },
): string | undefined {
  const [from, to] = [Date.parse(validFrom), Date.parse(validTo)];
  if (!(Date.now() <= to)) {
    return `its certificate expired on ${dateOf(to / 1000)}`;
  }
  if (!(Date.now() >= from)) {
    return `its certificate is not valid before ${
      dateOf(from / 1000)
    }; check the clocks on both sides`;
  }
  return verdict.isVouchedFor
    ? undefined
    : `no CA in ${verdict.option} vouches for its certificate: another signed it, one between is missing or not good, or it is not for clients`;
}

function dateOf(unixSeconds: string | number): string {
  const date = new Date(Number(unixSeconds) * 1000);
  return date.toISOString().replace("T", " ").replace(/:\d+\.\d+Z$/, " UTC");
}

/** Alerts by which a peer refuses us (RFC 8446 section 6.2), and why. */
const ALERTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  connect: {
    CertificateRequired:
      "the peer wants a client certificate; give --tls-cert and --tls-key",
    BadCertificate: "the peer refuses our client certificate",
    CertificateUnknown: "the peer refuses our client certificate",
    CertificateExpired: "the peer says that our client certificate has expired",
    UnknownCA:
      "the peer does not trust the CA that signed our client certificate",
    AccessDenied: "the peer denies us access",
    HandshakeFailure:
      "the peer refused the handshake; it may want a client certificate (--tls-cert, --tls-key)",
    ProtocolVersion: "the peer speaks only versions of TLS older than 1.2",
    NoApplicationProtocol:
      "the peer speaks none of the protocols of --tls-alpn",
    UnrecognizedName:
      "the peer has no certificate for that name; give another with --tls-name",
    UnrecognisedName:
      "the peer has no certificate for that name; give another with --tls-name",
  },
  listen: {
    BadCertificate: "it refuses our certificate",
    CertificateUnknown: "it refuses our certificate",
    CertificateExpired: "it says that our certificate has expired",
    UnknownCA: "it does not trust the CA that signed our certificate",
    ProtocolVersion: "it speaks only versions of TLS older than 1.2",
  },
};

function alertReason(alert: string, { role }: TlsContext): string {
  return ALERTS[role]?.[alert] ??
    `the peer refused the handshake with the alert ${alert}`;
}

/** Finds the alert in an error code of `node:tls`: SSLV3_ALERT_BAD_CERTIFICATE. */
function alertOfNode(code: string): string | undefined {
  const words = /ALERT_(\w+)$/.exec(code)?.[1]?.split("_");
  return words?.map((word) =>
    word === "CA" ? word : word.charAt(0) + word.slice(1).toLowerCase()
  ).join("");
}

/**
 * Alerts that come instead of data, as a TLS 1.3 client is verified after its
 * handshake.
 */
const LATE_REFUSALS: ReadonlySet<string> = new Set([
  "CertificateRequired",
  "BadCertificate",
  "UnsupportedCertificate",
  "CertificateRevoked",
  "CertificateExpired",
  "CertificateUnknown",
  "UnknownCA",
  "AccessDenied",
]);

/**
 * Translates a failure of an established TLS connection.
 *
 * @returns A RefusedError when the peer refuses our certificate; otherwise an
 * error with a reason that can be shown.
 */
export function streamError(
  error: unknown,
  peer: string,
  context: TlsContext,
): unknown {
  if (error instanceof Deno.errors.UnexpectedEof) {
    return new Deno.errors.UnexpectedEof(
      "it was cut off: TCP ended without the close_notify of TLS, so what came may not be all" +
        (context.hasCertificate
          ? "; a peer that does not accept our client certificate may end so too"
          : ""),
    );
  }
  const text = error instanceof Error ? error.message : "";
  const code = error instanceof Error && "code" in error ? error.code : "";
  const alert = /received fatal alert: (\w+)/.exec(text)?.[1] ??
    alertOfNode(String(code));
  if (alert === undefined || !LATE_REFUSALS.has(alert)) return error;
  return new RefusedError(
    `Cannot set up TLS with "${peer}": ${alertReason(alert, context)}`,
    { cause: error },
  );
}

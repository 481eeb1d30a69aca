/** The rows with TLS and with a secret. */

import {
  charted,
  CONNECT,
  goalOf,
  LISTEN,
  OURS,
  rate,
  server,
} from "./contenders.ts";
import type { Contender, Row, Size } from "./row.ts";

export function tlsRows(size: Size): Row[] {
  const needs = ["tls"];
  const key = "--tls --tls-cert cert.pem --tls-key key.pem";
  const ncatKey = "--ssl --ssl-cert cert.pem --ssl-key key.pem";
  const socatListen =
    "OPENSSL-LISTEN:PORT,bind=127.0.0.1,reuseaddr,cert=cert.pem,key=key.pem,verify=0";
  const socatConnect = "OPENSSL:127.0.0.1:PORT,verify=0";
  const ours = (name: string, trust: string): Contender => ({
    name,
    listen: `sockpipe ${LISTEN} ${key}`,
    connect: `sockpipe ${CONNECT} --tls ${trust}`,
  });
  const byAuthority = ours(OURS.name, "--tls-ca ca.pem");
  const byPin = ours("sockpipe --tls-pin", '--tls-pin "sha256:$(cat pin)"');
  const ncat: Contender = {
    name: "ncat --ssl",
    // When stdin ends, or with --send-only or --recv-only, it loses bytes.
    listen: `ncat -l ${ncatKey} 127.0.0.1 PORT < <(sleep 1000)`,
    connect: "ncat --ssl 127.0.0.1 PORT",
  };
  const socatOf = (options: string): Contender => ({
    name: `socat OPENSSL ${options}`.trim(),
    listen: `socat -u ${options} ${socatListen} STDOUT`,
    connect: `socat -u ${options} STDIN ${socatConnect}`,
  });
  const socat64k = socatOf("-b 65536");
  const peers = [ncat, socat64k, socatOf("")];
  const about =
    "As in the first row, with a P-256 certificate. All of them take TLS 1.3 with AES-256-GCM and X25519, and only sockpipe verifies the certificate";
  const work = {
    kind: "stream",
    ends: "pipes",
    ways: 1,
    bytes: size.tls,
  } as const;
  return [
    {
      id: "tls",
      title: "TLS, bulk one way",
      about: `${about}: by its CA, with the runtime's own TLS on both sides.`,
      needs,
      work,
      contenders: [byAuthority, ...peers],
      metrics: [
        charted(
          rate("TLS, bulk one way", [
            goalOf(byAuthority, 1.6, ncat),
            goalOf(byAuthority, 1.3, socat64k),
          ]),
        ),
      ],
    },
    {
      id: "tls-pin",
      title: "TLS with a pin, bulk one way",
      about:
        `${about}: the sender by its pin, which it can do with the slower TLS of node:tls alone.`,
      needs: [...needs, "tls-pin"],
      work: { ...work, bytes: size.tlsPin },
      contenders: [byPin, ncat, socat64k],
      metrics: [rate("TLS with a pin, bulk one way", [])],
    },
    handshakesRow(size, { needs, key, ncatKey, socatListen }),
  ];
}

const SECRET = "--secret-file secret";

/** As anyone uses it where a secret is on both sides; spiped is made for that. */
export function secretRows(size: Size): Row[] {
  const needs = ["secret-file"];
  const ours: Contender = {
    name: "sockpipe --secret-file",
    listen: `sockpipe ${LISTEN} ${SECRET}`,
    connect: `sockpipe ${CONNECT} ${SECRET}`,
  };
  const byAuthority: Contender = {
    name: "sockpipe --tls",
    listen: `sockpipe ${LISTEN} --tls --tls-cert cert.pem --tls-key key.pem`,
    connect: `sockpipe ${CONNECT} --tls --tls-ca ca.pem`,
  };
  const decrypts = "spiped -F -d -k spiped.key -s [127.0.0.1]:";
  const spipe: Contender = {
    name: "spipe, spiped and nc",
    between: `${decrypts}PORT -t [127.0.0.1]:MIDDLE`,
    listen: "nc.openbsd -N -l 127.0.0.1 MIDDLE",
    connect: "spipe -k spiped.key -t [127.0.0.1]:PORT",
  };
  const tunnel: Contender = {
    name: "two sockpipes",
    between:
      `sockpipe --listen 127.0.0.1:MIDDLE --keep-open ${SECRET} --forward 127.0.0.1:TARGET`,
    listen:
      `sockpipe ${LISTEN} --keep-open --forward 127.0.0.1:MIDDLE --forward-secret-file secret`,
    connect: "",
  };
  const spipeds: Contender = {
    name: "two spipeds",
    between: `${decrypts}MIDDLE -t [127.0.0.1]:TARGET`,
    listen:
      "spiped -F -e -k spiped.key -s [127.0.0.1]:PORT -t [127.0.0.1]:MIDDLE",
    connect: "",
  };
  const work = { kind: "stream", ends: "pipes", ways: 1 } as const;
  return [
    {
      id: "secret",
      title: "One secret, bulk one way",
      about:
        "As in the first row, encrypted with one secret on both sides. spipe has no listener of its own but spiped, behind which nc listens.",
      needs,
      work: { ...work, bytes: size.tls },
      contenders: [ours, byAuthority, { ...spipe, bytes: size.tlsPin }],
      metrics: [rate("One secret, bulk one way", [
        goalOf(ours, 0.95, byAuthority),
        goalOf(ours, 2, spipe),
      ])],
    },
    {
      id: "secret-trips",
      title: "One secret, round trips of 64 bytes",
      about: "As the round trips above, encrypted with one secret.",
      needs,
      work: { kind: "trips", trips: size.trips, bytes: 64 },
      contenders: [ours, spipe],
      metrics: [{
        key: "trip",
        title: "One secret, round trip of 64 bytes",
        unit: "µs",
        better: "less",
        goals: [],
      }],
    },
    secretHandshakesRow(size, { needs, ours, byAuthority }),
    {
      id: "tunnel",
      title: "An encrypted tunnel, bulk",
      about:
        "Two forwarders behind each other with one secret, which encrypts what is between them. The benchmark itself is the sender and the receiver.",
      needs: ["forward-secret-file"],
      work: { kind: "relay", bytes: size.tlsPin },
      contenders: [tunnel, spipeds],
      metrics: [
        charted(rate("An encrypted tunnel, bulk", [
          goalOf(tunnel, 2, spipeds),
        ])),
      ],
    },
  ];
}

function secretHandshakesRow(
  size: Size,
  { needs, ours, byAuthority }: {
    needs: readonly string[];
    ours: Contender;
    byAuthority: Contender;
  },
): Row {
  const many = ({ name, listen }: Contender) =>
    server(name, `${listen} --keep-open --receive-only`);
  return {
    id: "secret-handshakes",
    title: "One secret, handshakes",
    about:
      "As the TLS handshakes above, but the benchmark also proves to have the secret, and each connection is ended in order, by both sides. The rival is sockpipe with a P-256 certificate, which its clients verify by its CA, while they prove nothing.",
    needs: [...needs, "keep-open"],
    work: {
      kind: "handshakes",
      connections: size.handshakes,
      parallel: 8,
      endsInOrder: true,
    },
    contenders: [{ ...many(ours), hasSecret: true }, many(byAuthority)],
    metrics: [{
      key: "answers",
      title: "One secret, handshakes",
      unit: "connections/s",
      better: "more",
      goals: [goalOf(ours, 0.9, byAuthority)],
    }],
  };
}

function handshakesRow(
  size: Size,
  { needs, key, ncatKey, socatListen }: {
    needs: readonly string[];
    key: string;
    ncatKey: string;
    socatListen: string;
  },
): Row {
  const listen = `sockpipe ${LISTEN} --keep-open ${key}`;
  const ours = server(OURS.name, listen);
  const receiving = server(
    "sockpipe --receive-only",
    `${listen} --receive-only`,
  );
  const ncat = server(
    "ncat -k --ssl",
    `ncat -l -k --max-conns 1000 ${ncatKey} 127.0.0.1 PORT`,
  );
  return {
    id: "handshakes",
    title: "TLS handshakes",
    about:
      "Eight at a time, by the benchmark in as many threads as there are processors. It verifies the certificate (P-256), resumes nothing and closes at once. Before the time as many are made, since a listener that is kept open has long been warm.",
    needs: [...needs, "keep-open"],
    work: {
      kind: "handshakes",
      connections: size.handshakes,
      parallel: 8,
      endsInOrder: false,
    },
    contenders: [
      ours,
      receiving,
      ncat,
      {
        ...server(
          "socat fork",
          `socat ${socatListen},fork,backlog=128 EXEC:cat`,
        ),
        // It takes up to 0.1 s for each.
        connections: Math.min(size.handshakes, 100),
      },
    ],
    metrics: [{
      key: "answers",
      title: "TLS handshakes",
      unit: "connections/s",
      better: "more",
      goals: [goalOf(ours, 1, ncat), goalOf(receiving, 1, ncat)],
    }],
  };
}

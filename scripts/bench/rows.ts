/**
 * The rows of the benchmark, as data: what is done, who takes part, how each is
 * started, and which goals there are. How it is measured is in `bench_work.ts`.
 */

import type { Better, Goal } from "./stats.ts";

/**
 * One way to do the work of a row. The commands are what the shell is given, in
 * the folder of the benchmark, after these replacements:
 *
 * - `sockpipe` as the first word is the program under test;
 * - `PORT` and `MIDDLE` are ports on which nobody listens yet;
 * - `TARGET` is the port of a listener of the benchmark, for forwarders.
 */
export interface Contender {
  readonly name: string;
  /** The side that is there first, and is not part of the time. */
  readonly listen: string;
  /** The other one; empty when that is the benchmark itself. */
  readonly connect: string;
  /** A third program, which is there before both. It or `listen` has MIDDLE. */
  readonly between?: string;
  /** Instead of the row's number of bytes. */
  readonly bytes?: number;
  /** Instead of the row's number of connections. */
  readonly connections?: number;
}

/** What a row measures with each contender. */
export type Work =
  /** A stream from one side to the other, or one each way at once. */
  | {
    readonly kind: "stream";
    readonly ends: "pipes" | "files";
    readonly ways: 1 | 2;
    readonly bytes: number;
  }
  /** Messages through stdin and stdout that come back one after the other. */
  | { readonly kind: "trips"; readonly trips: number; readonly bytes: number }
  /** From the start of the connecting process to its end. */
  | { readonly kind: "start"; readonly starts: number }
  /** A stream through a forwarder. */
  | { readonly kind: "relay"; readonly bytes: number }
  /** stdin of a listener to all its clients. */
  | {
    readonly kind: "broadcast";
    readonly clients: number;
    readonly bytes: number;
  }
  /** Connections that are made, sent one line, answered and ended. */
  | {
    readonly kind: "answers";
    readonly connections: number;
    readonly parallel: number;
  }
  /** TLS connections that are made and ended. */
  | {
    readonly kind: "handshakes";
    readonly connections: number;
    readonly parallel: number;
  }
  /** Connections that do nothing. */
  | { readonly kind: "idle"; readonly connections: number };

/** One number that comes out of a row. */
export interface Metric {
  /** What {@linkcode Sample} calls it. */
  readonly key: MetricKey;
  readonly title: string;
  readonly unit: string;
  readonly better: Better;
  readonly goals: readonly Goal[];
  /** Whether it has a place in the chart. */
  readonly charted?: boolean;
}

/** The numbers that a piece of work can yield. */
export type MetricKey =
  | "rate"
  | "cpu"
  | "rssListen"
  | "rssConnect"
  | "trip"
  | "start"
  | "answers"
  | "idle";

/** What one run of a contender yields. */
export type Sample = Partial<Record<MetricKey, number>>;

/** A row: several contenders do the same work in turn. */
export interface Row {
  /** For `--row`. */
  readonly id: string;
  readonly title: string;
  /** A sentence or two about what is done and how it is verified. */
  readonly about: string;
  readonly work: Work;
  readonly contenders: readonly Contender[];
  readonly metrics: readonly Metric[];
  /** Options that `sockpipe --help` must know; without them no row. */
  readonly needs?: readonly string[];
  /** Rounds, where it is not as many as in the other rows. */
  readonly rounds?: number;
}

/** How much work the rows are. All bytes are multiples of 64 KiB. */
export interface Size {
  readonly rounds: number;
  readonly bulk: number;
  readonly files: number;
  /** Each way. */
  readonly both: number;
  readonly smallReads: number;
  readonly tls: number;
  readonly tlsPin: number;
  readonly handshakes: number;
  readonly trips: number;
  readonly starts: number;
  /** The short and the long stream of the memory row. */
  readonly memory: readonly [number, number];
  readonly connections: number;
  readonly broadcast: number;
}

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

/** For numbers to publish; takes about half an hour. */
export const FULL: Size = {
  rounds: 5,
  bulk: 4 * GIB,
  files: 2 * GIB,
  both: 2 * GIB,
  smallReads: 256 * MIB,
  tls: 4 * GIB,
  tlsPin: GIB,
  handshakes: 4000,
  trips: 2000,
  starts: 10,
  memory: [64 * MIB, 20 * GIB],
  connections: 500,
  broadcast: 16 * MIB,
};

/** For a look, in about a minute; starting the programs weighs more here. */
export const QUICK: Size = {
  rounds: 2,
  bulk: 256 * MIB,
  files: 64 * MIB,
  both: 64 * MIB,
  smallReads: 16 * MIB,
  // Less would measure how long the programs take to start.
  tls: 512 * MIB,
  tlsPin: 256 * MIB,
  handshakes: 200,
  trips: 300,
  starts: 2,
  memory: [64 * MIB, 2 * GIB],
  connections: 40,
  broadcast: MIB,
};

const LISTEN = "--listen 127.0.0.1:PORT";
const CONNECT = "--connect 127.0.0.1:PORT";

/** The program as anyone starts it. */
const OURS: Contender = {
  name: "sockpipe",
  listen: `sockpipe ${LISTEN}`,
  connect: `sockpipe ${CONNECT}`,
};

/** Without the Workers, as it was before there were any. */
const PLAIN: Contender = {
  name: "sockpipe, engine off",
  listen: `SOCKPIPE_ENGINE=off sockpipe ${LISTEN}`,
  connect: `SOCKPIPE_ENGINE=off sockpipe ${CONNECT}`,
};

const RELIABLE: Contender = {
  name: "sockpipe --reliable",
  listen: `sockpipe ${LISTEN} --reliable`,
  connect: `sockpipe ${CONNECT} --reliable`,
};

/** Without -N it never ends, so this is both its default and its best. */
const NC: Contender = {
  name: "nc.openbsd -N",
  listen: "nc.openbsd -N -l 127.0.0.1 PORT",
  connect: "nc.openbsd -N 127.0.0.1 PORT",
};

const TRADITIONAL: Contender = {
  name: "nc.traditional",
  listen: "nc.traditional -l -s 127.0.0.1 -p PORT",
  connect: "nc.traditional -q 0 127.0.0.1 PORT",
};

const NCAT: Contender = {
  name: "ncat",
  listen: "ncat -l 127.0.0.1 PORT",
  connect: "ncat 127.0.0.1 PORT",
};

const NCAT_ONE_WAY: Contender = {
  name: "ncat --send-only",
  listen: "ncat -l --recv-only 127.0.0.1 PORT",
  connect: "ncat --send-only 127.0.0.1 PORT",
};

const SOCAT_LISTEN = "TCP-LISTEN:PORT,bind=127.0.0.1,reuseaddr";
const SOCAT_CONNECT = "TCP:127.0.0.1:PORT";

/** Default but for `-t`, without which it leaves half a second after an end. */
function socat(options: string, name: string): Contender {
  return {
    name,
    listen: `socat ${options}${SOCAT_LISTEN} STDIO`,
    connect: `socat ${options}STDIO ${SOCAT_CONNECT}`,
  };
}

function socatOneWay(blockSize: number): Contender {
  const options = `-u -b ${blockSize}`;
  return {
    name: `socat -u -b ${blockSize}`,
    listen: `socat ${options} ${SOCAT_LISTEN} STDOUT`,
    connect: `socat ${options} STDIN ${SOCAT_CONNECT}`,
  };
}

const SOCAT = socat("", "socat");
const SOCAT_64K = socatOneWay(65536);

const ONE_WAY = [NC, TRADITIONAL, NCAT_ONE_WAY, NCAT, SOCAT_64K, SOCAT];

/** A goal of the program as anyone starts it. */
function goal(ratio: number, ...against: readonly Contender[]): Goal {
  return goalOf(OURS, ratio, ...against);
}

function goalOf(
  of: Contender,
  ratio: number,
  ...against: readonly Contender[]
): Goal {
  return { of: of.name, ratio, against: against.map(({ name }) => name) };
}

function rate(title: string, goals: readonly Goal[]): Metric {
  return { key: "rate", title, unit: "MB/s", better: "more", goals };
}

function charted(metric: Metric): Metric {
  return { ...metric, charted: true };
}

/** "No slower" leaves this much for the noise of a measurement. */
const NOISE = 1.05;

/** All rows, in the order of the report. */
export function rows(size: Size): readonly Row[] {
  return [
    ...streamRows(size),
    ...latencyRows(size),
    memoryRow(size),
    ...reliableRows(size),
    ...serverRows(size),
    ...tlsRows(size),
    ...secretRows(size),
    progressRow(size),
  ];
}

function streamRows(size: Size): Row[] {
  const bothWays = [
    OURS,
    NC,
    socat("-t 60 -b 65536 ", "socat -t 60 -b 65536"),
    NCAT,
  ];
  const smallReads: Contender = {
    name: "sockpipe --data-size 1024",
    listen: `sockpipe ${LISTEN} --data-size 1024`,
    connect: `sockpipe ${CONNECT} --data-size 1024`,
  };
  const socatSmall = socatOneWay(1024);
  return [
    {
      id: "bulk",
      title: "Bulk one way, pipe to pipe",
      about:
        "Zeros from dd through a pipe into the sender, over loopback, and from the receiver through a pipe into dd, which counts them.",
      work: { kind: "stream", ends: "pipes", ways: 1, bytes: size.bulk },
      contenders: [OURS, ...ONE_WAY],
      metrics: [
        charted(rate("Bulk one way, pipe to pipe", [
          goal(1.6, NC),
          goal(1.2, SOCAT_64K),
          goal(2, NCAT),
          goal(2, SOCAT),
        ])),
        {
          key: "cpu",
          title: "Processor time of both sides, the same runs",
          unit: "s/GB",
          better: "less",
          goals: [goal(1, NC), goal(0.9, SOCAT_64K)],
          charted: true,
        },
      ],
    },
    {
      id: "files",
      title: "Bulk one way, file to file",
      about:
        "The sender's stdin and the receiver's stdout are files. The file that arrived is hashed after every run.",
      work: { kind: "stream", ends: "files", ways: 1, bytes: size.files },
      contenders: [OURS, ...ONE_WAY],
      metrics: [
        charted(rate("Bulk one way, file to file", [goal(1.2, ...ONE_WAY)])),
      ],
    },
    {
      id: "both",
      title: "Bulk both ways at once",
      about:
        "As in the first row, and the same the other way at the same time; the rate is that of both together. The connecting side's stdin ends when everything has come from the other side, since nc.openbsd's listener leaves as soon as its peer has ended, whatever it has still to send.",
      work: { kind: "stream", ends: "pipes", ways: 2, bytes: size.both },
      contenders: bothWays,
      metrics: [charted(rate("Bulk both ways at once", [goal(1.2, NC)]))],
    },
    {
      id: "small",
      title: "Reads of 1 KiB",
      about: "As in the first row, but no read takes more than 1024 bytes.",
      work: { kind: "stream", ends: "pipes", ways: 1, bytes: size.smallReads },
      contenders: [smallReads, socatSmall],
      metrics: [
        rate("Reads of 1 KiB", [goalOf(smallReads, 0.5, socatSmall)]),
      ],
    },
  ];
}

function latencyRows(size: Size): Row[] {
  const socatTrips = socat("", "socat");
  const say = (command: string) => `${command} <hello`;
  const start = { key: "start", unit: "ms", better: "less" } as const;
  return [
    {
      id: "trips",
      title: "Round trips of 64 bytes",
      about:
        "A driver writes 64 bytes to the connecting side's stdin and waits for them on its stdout; behind the listener, cat sends back what comes. Each answer is compared. The number is the median of a run.",
      work: { kind: "trips", trips: size.trips, bytes: 64 },
      contenders: [OURS, PLAIN, NC, NCAT, socatTrips],
      metrics: [{
        key: "trip",
        title: "Round trip of 64 bytes",
        unit: "µs",
        better: "less",
        goals: [goal(1, NC), goal(NOISE, PLAIN)],
        charted: true,
      }],
    },
    {
      id: "start",
      title: "Connect, say hello, exit",
      about:
        "From the start of the connecting process to its end, against a listener of the benchmark, which reads everything and compares it.",
      work: { kind: "start", starts: size.starts },
      contenders: [
        { ...OURS, listen: "", connect: `${OURS.connect} --message hello` },
        { ...PLAIN, listen: "", connect: `${PLAIN.connect} --message hello` },
        { ...NC, listen: "", connect: say(NC.connect) },
        { ...NCAT, listen: "", connect: say(NCAT.connect) },
        { ...SOCAT, listen: "", connect: say(SOCAT.connect) },
      ],
      metrics: [{
        ...start,
        title: "Connect, say hello, exit",
        goals: [goal(NOISE, PLAIN)],
      }],
    },
  ];
}

function memoryRow(size: Size): Row {
  const [few, many] = size.memory;
  const ours = (bytes: number): Contender => ({
    ...OURS,
    name: `sockpipe, ${bytes / MIB} MiB`,
    bytes,
  });
  const reliable = { ...RELIABLE, bytes: many };
  const goals = [goalOf(ours(many), 1.1, ours(few))];
  const rss = { unit: "MB", better: "less", goals } as const;
  return {
    id: "memory",
    title: "Peak memory of a short and a long stream",
    about:
      "The largest resident set of each side, as the kernel tells when the process ends.",
    work: { kind: "stream", ends: "pipes", ways: 1, bytes: few },
    contenders: [ours(few), ours(many), reliable, NC, NCAT, SOCAT],
    rounds: size.rounds < 5 ? 1 : 3,
    metrics: [
      { ...rss, key: "rssConnect", title: "Peak memory of the sender" },
      { ...rss, key: "rssListen", title: "Peak memory of the receiver" },
    ],
  };
}

function reliableRows(size: Size): Row[] {
  const needs = ["reliable"];
  return [
    {
      id: "reliable-bulk",
      title: "--reliable, bulk one way",
      about: "As in the first row. The rival is sockpipe itself without it.",
      needs,
      work: { kind: "stream", ends: "pipes", ways: 1, bytes: size.bulk },
      contenders: [RELIABLE, OURS],
      metrics: [
        rate("--reliable, bulk", [goalOf(RELIABLE, 0.85, OURS)]),
      ],
    },
    {
      id: "reliable-trips",
      title: "--reliable, round trips of 64 bytes",
      about: "As above. The rival is sockpipe itself without it.",
      needs,
      work: { kind: "trips", trips: size.trips, bytes: 64 },
      contenders: [RELIABLE, OURS],
      metrics: [{
        key: "trip",
        title: "--reliable, round trip of 64 bytes",
        unit: "µs",
        better: "less",
        goals: [goalOf(RELIABLE, 1.2, OURS)],
      }],
    },
  ];
}

/** Only the listener is given; the clients are the benchmark's. */
function server(name: string, listen: string): Contender {
  return { name, listen, connect: "" };
}

function serverRows(size: Size): Row[] {
  const fork = `${SOCAT_LISTEN},fork,backlog=128`;
  const keep = "ncat -l -k --max-conns 1000 127.0.0.1 PORT";
  const ours = (options: string) =>
    server(OURS.name, `sockpipe ${LISTEN} --keep-open ${options}`.trim());
  const relays = [
    server("socat fork", `socat ${fork} TCP:127.0.0.1:TARGET`),
    server("ncat", `${keep} --sh-exec "ncat 127.0.0.1 TARGET"`),
  ];
  const largeRelay = server(
    "socat fork -b 65536",
    `socat -b 65536 ${fork} TCP:127.0.0.1:TARGET`,
  );
  const execs = [
    server("socat fork", `socat ${fork} EXEC:cat`),
    server("ncat -k", `${keep} --exec /bin/cat`),
  ];
  const files = server("socat fork", `socat -U ${fork} OPEN:hello,rdonly`);
  const broadcast = server("ncat -k", `${keep} --send-only`);
  const answers = {
    key: "answers",
    unit: "connections/s",
    better: "more",
  } as const;
  const many = {
    kind: "answers",
    connections: size.connections,
    parallel: 8,
  } as const;
  const needs = ["keep-open"];
  return [
    {
      id: "forward",
      title: "--forward, bulk",
      about:
        "The benchmark itself is the sender and the receiver, with large blocks in one process.",
      needs: [...needs, "forward"],
      work: { kind: "relay", bytes: size.files },
      contenders: [
        ours("--forward 127.0.0.1:TARGET"),
        ...relays,
        largeRelay,
      ],
      metrics: [
        rate("--forward, bulk", [
          goal(1.3, largeRelay),
          goal(1.2, ...relays.slice(1)),
        ]),
      ],
    },
    {
      id: "exec",
      title: "Connections answered by a process each",
      about:
        "Eight at a time: connect, send a line, read the same line from a cat of its own, end. Before the time as many are made, since a listener that is kept open has long been warm.",
      needs: [...needs, "exec"],
      work: many,
      contenders: [ours("--exec cat"), ...execs],
      metrics: [{
        ...answers,
        title: "Connections answered by --exec",
        goals: execs.map((rival) => goal(2, rival)),
      }],
    },
    {
      id: "serve",
      title: "Connections answered with a file",
      about:
        "Eight at a time: connect, read the file, end. Before the time as many are made, since a listener that is kept open has long been warm.",
      needs: [...needs, "serve"],
      work: many,
      contenders: [ours("--serve hello"), files],
      metrics: [{
        ...answers,
        title: "Connections answered by --serve",
        goals: [goal(2, files)],
      }],
    },
    {
      id: "broadcast",
      title: "Broadcast to 100 clients",
      about:
        "The clients are the benchmark's, in one process; the time ends when all of them have everything. The rate counts what arrived at all clients together.",
      needs,
      work: { kind: "broadcast", clients: 100, bytes: size.broadcast },
      contenders: [ours(""), broadcast],
      metrics: [
        rate("Broadcast to 100 clients", [goal(1.2, broadcast)]),
      ],
    },
    {
      id: "idle",
      title: "Memory of an idle connection",
      about:
        "The memory that the listener and its children have more with the connections than without, divided by their number (proportional set size).",
      needs,
      rounds: size.rounds < 5 ? 1 : 3,
      work: { kind: "idle", connections: 100 },
      contenders: [
        ours(""),
        server("ncat -k", keep),
        server("socat fork", `socat ${fork} EXEC:cat`),
      ],
      metrics: [{
        key: "idle",
        title: "Memory of an idle connection",
        unit: "kB",
        better: "less",
        goals: [],
      }],
    },
  ];
}

function tlsRows(size: Size): Row[] {
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
function secretRows(size: Size): Row[] {
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
    work: { kind: "handshakes", connections: size.handshakes, parallel: 8 },
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

function progressRow(size: Size): Row {
  const progress: Contender = {
    name: "sockpipe --progress",
    listen: `${OURS.listen} --progress`,
    connect: `${OURS.connect} --progress`,
  };
  return {
    id: "progress",
    title: "--progress, bulk one way",
    about: "As in the first row. The rival is sockpipe itself without it.",
    needs: ["progress"],
    work: { kind: "stream", ends: "pipes", ways: 1, bytes: size.bulk },
    contenders: [progress, OURS],
    metrics: [
      rate("--progress, bulk", [goalOf(progress, 1 / NOISE, OURS)]),
    ],
  };
}

/**
 * The rows of the benchmark, as data: what is done, how each is started, and which
 * goals there are. How it is measured is in `work.ts`.
 */

import {
  charted,
  CONNECT,
  goal,
  goalOf,
  LISTEN,
  NC,
  NCAT,
  NOISE,
  ONE_WAY,
  OURS,
  PLAIN,
  rate,
  RELIABLE,
  RELIABLE_PLAIN,
  SOCAT,
  socat,
  SOCAT_64K,
  socatOneWay,
} from "./contenders.ts";
import { secretRows, tlsRows } from "./encrypted_rows.ts";
import { serverRows } from "./server_rows.ts";
import type { Contender, Row, Size } from "./row.ts";

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
  requests: 200_000,
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
  requests: 5000,
  broadcast: MIB,
};

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
    PLAIN,
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
      contenders: [OURS, PLAIN, ...ONE_WAY],
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
      contenders: [OURS, PLAIN, ...ONE_WAY],
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
      contenders: [RELIABLE, RELIABLE_PLAIN, OURS],
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
      contenders: [RELIABLE, RELIABLE_PLAIN, OURS],
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

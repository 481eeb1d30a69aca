/** The rows of a listener for many: forwarding, answers, broadcast, idling. */

import {
  goal,
  LISTEN,
  OURS,
  rate,
  server,
  SOCAT_LISTEN,
} from "./contenders.ts";
import type { Row, Size } from "./row.ts";

/** The rows of a listener for many. */
export function serverRows(size: Size): Row[] {
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
      id: "forward-requests",
      title: "--forward, requests by 50 clients at once",
      about:
        "redis-benchmark sets keys of 64 bytes by 50 connections at once, each of which waits for its answer; behind the forwarder is a redis-server.",
      needs: [...needs, "forward"],
      work: { kind: "requests", requests: size.requests, connections: 50 },
      contenders: [
        ours("--forward 127.0.0.1:TARGET"),
        ...relays.slice(0, 1),
      ],
      metrics: [
        {
          key: "requests",
          title: "--forward, requests by 50 clients",
          unit: "requests/s",
          better: "more",
          goals: [goal(1, ...relays.slice(0, 1))],
        },
        {
          key: "latency",
          title: "--forward, time of such a request",
          unit: "µs",
          better: "less",
          goals: [goal(1, ...relays.slice(0, 1))],
        },
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

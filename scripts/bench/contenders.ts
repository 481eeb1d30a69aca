/** Those who take part in more than one row, and what is said of all of them. */

import type { Contender, Metric } from "./row.ts";
import type { Goal } from "./stats.ts";

export const LISTEN = "--listen 127.0.0.1:PORT";
export const CONNECT = "--connect 127.0.0.1:PORT";

/** The program as anyone starts it. */
export const OURS: Contender = {
  name: "sockpipe",
  listen: `sockpipe ${LISTEN}`,
  connect: `sockpipe ${CONNECT}`,
};

/** With Deno's streams in place of the system's calls. */
export const PLAIN: Contender = {
  name: "sockpipe, engine off",
  listen: `SOCKPIPE_ENGINE=off sockpipe ${LISTEN}`,
  connect: `SOCKPIPE_ENGINE=off sockpipe ${CONNECT}`,
};

export const RELIABLE: Contender = {
  name: "sockpipe --reliable",
  listen: `sockpipe ${LISTEN} --reliable`,
  connect: `sockpipe ${CONNECT} --reliable`,
};

export const RELIABLE_PLAIN: Contender = {
  name: "sockpipe --reliable, engine off",
  listen: `${PLAIN.listen} --reliable`,
  connect: `${PLAIN.connect} --reliable`,
};

/** Without -N it never ends, so this is both its default and its best. */
export const NC: Contender = {
  name: "nc.openbsd -N",
  listen: "nc.openbsd -N -l 127.0.0.1 PORT",
  connect: "nc.openbsd -N 127.0.0.1 PORT",
};

export const TRADITIONAL: Contender = {
  name: "nc.traditional",
  listen: "nc.traditional -l -s 127.0.0.1 -p PORT",
  connect: "nc.traditional -q 0 127.0.0.1 PORT",
};

export const NCAT: Contender = {
  name: "ncat",
  listen: "ncat -l 127.0.0.1 PORT",
  connect: "ncat 127.0.0.1 PORT",
};

export const NCAT_ONE_WAY: Contender = {
  name: "ncat --send-only",
  listen: "ncat -l --recv-only 127.0.0.1 PORT",
  connect: "ncat --send-only 127.0.0.1 PORT",
};

export const SOCAT_LISTEN = "TCP-LISTEN:PORT,bind=127.0.0.1,reuseaddr";
export const SOCAT_CONNECT = "TCP:127.0.0.1:PORT";

/** Default but for `-t`, without which it leaves half a second after an end. */
export function socat(options: string, name: string): Contender {
  return {
    name,
    listen: `socat ${options}${SOCAT_LISTEN} STDIO`,
    connect: `socat ${options}STDIO ${SOCAT_CONNECT}`,
  };
}

export function socatOneWay(blockSize: number): Contender {
  const options = `-u -b ${blockSize}`;
  return {
    name: `socat -u -b ${blockSize}`,
    listen: `socat ${options} ${SOCAT_LISTEN} STDOUT`,
    connect: `socat ${options} STDIN ${SOCAT_CONNECT}`,
  };
}

export const SOCAT = socat("", "socat");
export const SOCAT_64K = socatOneWay(65536);

export const ONE_WAY = [NC, TRADITIONAL, NCAT_ONE_WAY, NCAT, SOCAT_64K, SOCAT];

/** A goal of the program as anyone starts it. */
export function goal(ratio: number, ...against: readonly Contender[]): Goal {
  return goalOf(OURS, ratio, ...against);
}

export function goalOf(
  of: Contender,
  ratio: number,
  ...against: readonly Contender[]
): Goal {
  return { of: of.name, ratio, against: against.map(({ name }) => name) };
}

export function rate(title: string, goals: readonly Goal[]): Metric {
  return { key: "rate", title, unit: "MB/s", better: "more", goals };
}

export function charted(metric: Metric): Metric {
  return { ...metric, charted: true };
}

/** "No slower" leaves this much for the noise of a measurement. */
export const NOISE = 1.05;

/** Only the listener is given; the clients are the benchmark's. */
export function server(name: string, listen: string): Contender {
  return { name, listen, connect: "" };
}

/** The environment variables that tell a process of `--exec` about its connection. */

import type { Connection } from "../net/connection.ts";

/** Makes the variables of section "Run a command" in the README. */
export function connectionEnvironment(
  { peer, local }: Pick<Connection, "peer" | "local">,
): Record<string, string> {
  return {
    SOCKPIPE_PROTOCOL: local.startsWith("unix:") ? "unix" : "tcp",
    ...addressVariables("SOCKPIPE_PEER", peer),
    ...addressVariables("SOCKPIPE_LOCAL", local),
  };
}

/**
 * Makes the variables of one address. That of a unix socket is its path, and empty
 * for a client that has none.
 */
function addressVariables(
  name: string,
  address: string,
): Record<string, string> {
  const path = /^unix:(.*)$/s.exec(address)?.[1];
  if (path !== undefined) return { [`${name}_ADDRESS`]: path };
  const [, bracketed, plain = "", port = ""] =
    /^(?:\[(.*)\]|(.*)):(\d+)$/.exec(address) ?? [];
  return {
    [`${name}_ADDRESS`]: bracketed ?? plain,
    [`${name}_PORT`]: port,
  };
}

/** Proxies and servers of others, each on a port and in a folder of its own. */

import { until } from "./deadlines.ts";
import { Folder } from "./folder.ts";
import { run } from "./process.ts";
import { closedPort } from "./tcp.ts";

/** A server of somebody else, until disposed of. */
export interface RealServer extends AsyncDisposable {
  readonly port: number;
}

/**
 * Starts a server and waits until it listens.
 *
 * @param command Makes the words that start it on a port; gets a folder for files.
 */
export async function startServer(
  command: (port: number, folder: string) => readonly string[],
): Promise<RealServer> {
  const folder = new Folder();
  const port = closedPort();
  const process = run(command(port, folder.path));
  await until(async () => {
    try {
      using _conn = await Deno.connect({ hostname: "127.0.0.1", port });
      return true;
    } catch {
      return undefined;
    }
  }, `a server on port ${port}`);
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      await process[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

/** A SOCKS server without passwords, which does not go to 127.0.0.9. */
export function danted(): Promise<RealServer> {
  return startServer((port, folder) => {
    Deno.writeTextFileSync(
      `${folder}/danted.conf`,
      `logoutput: stderr
       internal: 127.0.0.1 port = ${port}
       external: 127.0.0.1
       socksmethod: none
       clientmethod: none
       client pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }
       socks block { from: 0.0.0.0/0 to: 127.0.0.9/32 }
       socks pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }`,
    );
    return ["danted", "-f", `${folder}/danted.conf`];
  });
}

/** A SOCKS5 server for the user "me" with the password "secret". */
export function microsocks(): Promise<RealServer> {
  return startServer((port) =>
    ["microsocks", "-i", "127.0.0.1", "-p", `${port}`]
      .concat(["-u", "me", "-P", "secret"])
  );
}

/** An HTTP proxy for the user "me" with the password "secret". */
export function tinyproxy(): Promise<RealServer> {
  return startServer((port, folder) => {
    Deno.writeTextFileSync(
      `${folder}/tinyproxy.conf`,
      `Port ${port}\nListen 127.0.0.1\nTimeout 60\nBasicAuth me secret\n`,
    );
    return ["tinyproxy", "-d", "-c", `${folder}/tinyproxy.conf`];
  });
}

/** ncat as an HTTP proxy. */
export function ncatProxy(
  ...args: readonly string[]
): Promise<RealServer> {
  return startServer((port) =>
    ["ncat", "-l", "127.0.0.1", `${port}`, "-k", "--proxy-type", "http"]
      .concat(args)
  );
}

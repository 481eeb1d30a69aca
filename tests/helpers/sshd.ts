/** A server of ssh, and ssh and scp that know it. */

import { assertEquals } from "@std/assert";
import { Folder } from "./folder.ts";
import { run, type Running, shell, type StartOptions } from "./process.ts";

/** The server, by its whole name, as it wants it; it is not in everybody's PATH. */
export const SSHD = "/usr/sbin/sshd";

/** Keys of a server and a user, and a `there` that is this machine. */
export class SshFolder extends Folder {
  readonly serverConfig = `${this.path}/sshd_config`;
  readonly clientConfig = `${this.path}/config`;

  /** Makes the keys, and ssh, scp and git in PATH that know them. */
  async furnish(port: number): Promise<void> {
    const { path } = this;
    await ok(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", `${path}/host`]);
    await ok(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", `${path}/user`]);
    const hostKey = await Deno.readTextFile(`${path}/host.pub`);
    await Deno.writeTextFile(`${path}/known`, `there ${hostKey}`);
    await Deno.writeTextFile(
      this.serverConfig,
      `HostKey ${path}/host
AuthorizedKeysFile ${path}/user.pub
StrictModes no
UsePAM no
PidFile none
Subsystem sftp internal-sftp
`,
    );
    await Deno.writeTextFile(
      this.clientConfig,
      `Host there
HostName 127.0.0.1
HostKeyAlias there
Port ${port}
IdentityFile ${path}/user
IdentitiesOnly yes
UserKnownHostsFile ${path}/known
`,
    );
    for (const name of ["ssh", "scp"]) {
      await Deno.writeTextFile(
        `${path}/${name}`,
        `#!/bin/sh\nexec /usr/bin/${name} -F '${this.clientConfig}' "$@"\n`,
        { mode: 0o755 },
      );
    }
    await Deno.writeTextFile(
      `${path}/sshd`,
      `#!/bin/sh\nexec ${SSHD} -e -f '${this.serverConfig}' "$@"\n`,
      { mode: 0o755 },
    );
    // Where a server that is started as root puts its unprivileged part.
    if (Deno.uid() === 0) await Deno.mkdir("/run/sshd", { recursive: true });
  }

  /** Starts the server by itself. */
  async serve(port: number): Promise<Running> {
    const address = `ListenAddress 127.0.0.1:${port}`;
    const words = [SSHD, "-De", "-f", this.serverConfig, "-o", address];
    const server = run(words);
    await server.said(/Server listening/);
    return server;
  }

  /**
   * Runs a script that finds ssh, scp and sshd of this folder.
   *
   * @param args Its `$2` and so on.
   */
  shell(
    script: string,
    args: readonly string[] = [],
    options?: StartOptions,
  ): Running {
    const words = [this.path, ...args];
    return shell(`cd "$1"; PATH=$PWD:$PATH\n${script}`, words, options);
  }
}

async function ok(words: readonly string[]): Promise<void> {
  await using running = run(words);
  const { code, stderr } = await running.result();
  assertEquals(code, 0, stderr);
}

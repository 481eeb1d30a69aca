/** `--forward-secret-file` and `--forward-tls`: the way on is encrypted. */

import { assertEquals } from "@std/assert";
import { derivedKeyPair } from "../../../lib/tls/derived_certificate.ts";
import { certificates, keyOptions } from "../../helpers/certificates.ts";
import { testWith } from "../../helpers/conditions.ts";
import { run, shell } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import { closedPort } from "../../helpers/tcp.ts";
import { Secrets } from "../../helpers/secrets.ts";

/** Two listeners that make an encrypted tunnel to `target`; each may be stopped. */
async function tunnel(
  folder: Secrets,
  target: number,
): Promise<AsyncDisposable & { readonly port: number }> {
  const common = ["--keep-open", "--listen=0"];
  const there = sockpipe([
    ...common,
    `--secret-file=${folder.key}`,
    `--forward=${target}`,
  ]);
  const far = await there.listening();
  const here = sockpipe([
    ...common,
    `--forward=${far.address}`,
    `--forward-secret-file=${folder.key}`,
  ]);
  const { port } = await here.listening();
  return {
    port,
    async [Symbol.asyncDispose]() {
      await here[Symbol.asyncDispose]();
      await there[Symbol.asyncDispose]();
    },
  };
}

testWith(
  ["redis-server", "redis-cli"],
  "two commands make an encrypted tunnel for redis",
  async () => {
    using folder = await Secrets.make();
    const port = closedPort();
    await using redis = run([
      "redis-server",
      ...["--port", `${port}`, "--save", "", "--dir", folder.path],
    ]);
    await redis.stdout.match(/Ready to accept connections/);
    await using through = await tunnel(folder, port);
    const script = `
      p=$1
      redis-cli -p $p set key "$(head -c 100000 /dev/zero | tr '\\0' x)"
      redis-cli -p $p strlen key
      redis-benchmark -p $p -q -n 2000 -c 20 -P 4 -t set,get > /dev/null && echo done`;
    await using client = shell(script, [`${through.port}`]);
    assertEquals(await client.code(), 0, client.stderr.text());
    assertEquals(client.stdout.text(), "OK\n100000\ndone\n");
  },
);

/** Starts PostgreSQL on $1 with its data in $2; root is no user for it. */
const POSTGRES = `
  chmod 711 "$2" && mkdir "$2/db" || exit
  as=
  if [ "$(id -u)" = 0 ]; then
    chown postgres "$2/db"
    as="setpriv --reuid=postgres --regid=postgres --clear-groups"
  fi
  for bin in /usr/lib/postgresql/*/bin; do :; done
  $as "$bin/initdb" -D "$2/db" -A trust -U postgres --no-sync > "$2/log" || exit
  exec $as "$bin/postgres" -D "$2/db" -p "$1" -c listen_addresses=127.0.0.1 \
    -c unix_socket_directories= -c fsync=off -c client_connection_check_interval=100ms`;

testWith(
  ["psql", "/usr/lib/postgresql", "setpriv"],
  "two commands make an encrypted tunnel for PostgreSQL",
  async () => {
    using folder = await Secrets.make();
    const port = closedPort();
    await using database = shell(POSTGRES, [port, folder.path]);
    await database.said(/ready to accept connections/);
    await using through = await tunnel(folder, port);
    const script = `
      there() { echo "host=127.0.0.1 port=$1 user=postgres sslmode=disable"; }
      ask() { psql -XAt "$(there $1)" -c "$2"; }
      sleep_there() { exec psql -X "$(there $1)" -c 'select pg_sleep(60)'; }
      rows='copy (select md5(i::text) from generate_series(1, 1600000) i) to stdout'
      [ "$(ask $1 "$rows" | md5sum)" = "$(ask $2 "$rows" | md5sum)" ] && echo equal
      asleep="from pg_stat_activity where query = 'select pg_sleep(60)'"
      until_asleep() { until [ "$(ask $1 "select count(*) $asleep")" = $2 ]; do sleep 0.05; done; }
      sleep_there $2 & victim=$!
      until_asleep $1 1
      kill -KILL $victim
      until_asleep $1 0 && echo "the client's end is seen"
      sleep_there $2 & victim=$!
      until_asleep $1 1
      ask $1 "select pg_terminate_backend(pid) $asleep"
      wait $victim || echo "the server's end is seen"
      ask $2 'select 1 + 1'`;
    await using client = shell(script, [port, through.port]);
    assertEquals(await client.code(), 0, client.stderr.text());
    assertEquals(
      client.stdout.text(),
      "equal\nthe client's end is seen\nt\nthe server's end is seen\n2\n",
      client.stderr.text(),
    );
    database.kill("SIGINT");
    assertEquals(await database.code(), 0);
  },
);

Deno.test("--forward-secret-file sends nothing to a listener with another secret", async () => {
  using folder = await Secrets.make();
  const { server, at } = await listener(
    [`--secret-file=${folder.other}`, "--keep-open"],
    { stdin: "piped" },
  );
  await using _server = server;
  const forward = [
    `--forward=${at.address}`,
    `--forward-secret-file=${folder.key}`,
  ];
  const { server: here, at: near } = await listener([
    ...forward,
    "--keep-open",
  ]);
  await using _here = here;
  await using asking = sockpipe(
    [`--connect=${near.port}`, "--retries=0"],
    { stdin: "not to be sent\n" },
  );
  assertEquals(await asking.code(), 1, asking.stderr.text());
  await here.said(/it has another secret than that of --forward-secret-file/);
  await server.said(/refused \S+: it has another secret, or none/);
  assertEquals(server.stdout.text() + asking.stdout.text(), "");
});

testWith(
  ["openssl"],
  "--forward-tls goes on to a TLS server, verified by its CA and name",
  async () => {
    using folder = await certificates();
    const { server, at } = await listener([
      ...keyOptions(folder),
      "--keep-open",
    ], { stdin: "piped" });
    await using _server = server;
    const far = `--forward=localhost:${at.port}`;
    const tls = ["--forward-tls", `--tls-ca=${folder.path}/ca.crt`];
    for (
      const [args, code] of [[tls, 0], [["--forward-tls"], 1], [[
        ...tls,
        "--tls-name=elsewhere.example",
      ], 1]] as const
    ) {
      const { server: here, at: near } = await listener([far, ...args]);
      await using _here = here;
      await using asking = sockpipe(
        [`--connect=${near.port}`, "--send-only"],
        { stdin: code === 0 ? "through\n" : "never\n" },
      );
      if (code === 0) {
        await server.stdout.match(/through/);
        await server.endStdin();
      }
      assertEquals(await asking.code(), code, asking.stderr.text());
    }
    assertEquals(server.stdout.text(), "through\n");
  },
);

testWith(
  ["openssl"],
  "openssl verifies the listener's certificate with itself as the anchor",
  async () => {
    using folder = await Secrets.make();
    const { cert } = await derivedKeyPair(folder.secret);
    const file = await folder.write("cert", cert);
    await using verified = run([
      ...["openssl", "verify", "-x509_strict", "-CAfile", file, file],
    ]);
    assertEquals(await verified.code(), 0, verified.stderr.text());
    const { server, at } = await listener([`--secret-file=${folder.key}`]);
    await using _server = server;
    await using shown = shell(
      `openssl s_client -connect 127.0.0.1:$1 -CAfile $2 -verify_return_error </dev/null | openssl x509`,
      [`${at.port}`, file],
    );
    assertEquals(await shown.code(), 0, shown.stderr.text());
    assertEquals(shown.stdout.text(), cert);
  },
);

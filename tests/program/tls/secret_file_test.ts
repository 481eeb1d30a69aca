/** The file of `--secret-file`: what is taken for a secret, and that nobody is told it. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { derive } from "../../../lib/tls/secret.ts";
import { Folder } from "../../helpers/folder.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import { hidden, Secrets } from "../../helpers/secrets.ts";

Deno.test("exit 8 for a secret that is none, on either side, and nothing is opened", async () => {
  using folder = await Secrets.make();
  const typo = await folder.write("typo", "correct horse battery");
  for (const args of [["--listen=0"], ["--connect=1", "--retries=0"]]) {
    await using tried = sockpipe([...args, "--secret-file", typo]);
    assertEquals(await tried.code(), 8, tried.stderr.text());
    assertStringIncludes(tried.stderr.text(), `"${typo}": `);
    assertStringIncludes(tried.stderr.text(), "could be guessed");
    assert(!/listening|cannot connect/.test(tried.stderr.text()));
  }
});

Deno.test("--new-secret makes a file for its owner alone, and never over another", async () => {
  using folder = new Folder();
  const path = `${folder.path}/key`;
  await using made = sockpipe(["--new-secret", path]);
  assertEquals(await made.code(), 0, made.stderr.text());
  const text = await Deno.readTextFile(path);
  assert(/^sockpipe1(-[a-z2-7]{7}){8}\n$/.test(text), text);
  assert(!made.stderr.text().includes(text.slice(10, 17)));
  assertEquals(made.stdout.text(), "");
  if (Deno.build.os !== "windows") {
    const { mode } = await Deno.stat(path);
    assertEquals((mode ?? 0) & 0o777, 0o600);
  }
  await using again = sockpipe(["--new-secret", path]);
  assertEquals(await again.code(), 8);
  assertStringIncludes(again.stderr.text(), "a file of that name is there");
  assertEquals(await Deno.readTextFile(path), text);
  await using more = sockpipe(["--new-secret", `${path}2`, "--listen=1"]);
  assertEquals(await more.code(), 2);
  assertEquals(folder.names(), ["key"]);
});

Deno.test("no secret is told by -v, --json, --dump, the command line or the environment", async () => {
  using folder = await Secrets.make();
  const text = (await Deno.readTextFile(folder.key)).trim();
  const dump = `${folder.path}/dump`;
  const secret = ["--secret-file", folder.key, "--dump", dump];
  const { server, at } = await listener([...secret, "-v"]);
  await using _server = server;
  const args = [`--connect=${at.port}`, "--json", "--secret-file", folder.key];
  await using friend = sockpipe(args, { stdin: "piped" });
  await friend.feed("password\n");
  await server.stdout.match(/password/);
  const seen = ["cmdline", "environ"].map((name) =>
    Deno.build.os === "linux"
      ? Deno.readTextFileSync(`/proc/${friend.pid}/${name}`)
      : ""
  );
  await friend.endStdin();
  assertEquals(await friend.code(), 0, friend.stderr.text());
  assertEquals(await server.code(), 0, server.stderr.text());
  const record = await Deno.readTextFile(dump);
  // What is recorded is what was sent, in clear.
  assertStringIncludes(record, "password");
  const told = [friend.stderr.text(), server.stderr.text(), record, ...seen]
    .join("\n");
  const values = [
    folder.secret,
    await derive(folder.secret, "dialler"),
    await derive(folder.secret, "listener"),
  ];
  for (const value of [...values.flatMap(hidden), text, text.slice(10, 25)]) {
    assert(!told.includes(value));
  }
});

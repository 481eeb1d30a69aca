/** readSecretFile(): what is taken for a secret, and who may be able to read it. */

import { assertEquals, assertRejects } from "@std/assert";
import { LocalIoError } from "../../../lib/base/errors.ts";
import { readSecretFile } from "../../../lib/tls/secret_file.ts";
import { Secrets } from "../../helpers/secrets.ts";

Deno.test("readSecretFile() refuses what is none, or what others can read", async () => {
  using folder = await Secrets.make();
  const text = await Deno.readTextFile(folder.key);
  const wrong = text.replace(/.$/m, (last) => last === "a" ? "b" : "a");
  const utf16 = [...`\ufeff${text}`].flatMap((c) => [c.charCodeAt(0) & 255, 0]);
  const cases: [file: string, reason: string][] = [
    [`${folder.path}/none`, "no such file"],
    [folder.path, Deno.build.os === "windows" ? "" : "directory"],
    [await folder.write("empty", ""), "it is not a secret"],
    [await folder.write("words", "correct horse battery"), "could be guessed"],
    [await folder.write("cut", text.slice(0, 40)), "it is damaged"],
    [await folder.write("typo", wrong), "there is a typo in it"],
    [await folder.write("utf16", Uint8Array.from(utf16)), "not a secret"],
    [await folder.write("long", "a".repeat(100_000)), "not a secret"],
    [await folder.write("more", `${text}${" ".repeat(1000)}x`), "more than a"],
  ];
  if (Deno.build.os !== "windows") {
    const readable = await folder.write("readable by all", text);
    await Deno.chmod(readable, 0o640);
    cases.push([
      readable,
      `can read or change it; do: chmod 600 '${readable}'`,
    ]);
  }
  for (const [file, reason] of cases) {
    const { message } = await assertRejects(
      () => readSecretFile("--secret-file", file),
      LocalIoError,
      reason,
    );
    assertEquals(
      message.slice(0, message.indexOf(": ")),
      `Cannot use --secret-file "${file}"`,
    );
  }
});

Deno.test("readSecretFile() takes a copy with or without its line end, CRLF or a byte order mark", async () => {
  using folder = await Secrets.make();
  const text = await Deno.readTextFile(folder.key);
  const bare = text.trim();
  const copies = [text, bare, `${bare}\r\n`, `\ufeff${text}`, `\n ${bare} \n`];
  for (const [index, copy] of copies.entries()) {
    const file = await folder.write(`copy${index}`, copy);
    const read = await readSecretFile("--secret-file", file);
    assertEquals(read, folder.secret);
  }
});

/** The files of `--new-secret`, `--secret-file` and `--forward-secret-file`. */

import { writeAll } from "../base/bytes.ts";
import { LocalIoError, reasonOf } from "../base/errors.ts";
import { readPrivateFile, unusable } from "../base/private_file.ts";
import { shellWord } from "../base/shell_word.ts";
import { formatSecret, newSecret, parseSecret, type Secret } from "./secret.ts";

/** Far more than a secret has, white space and all. */
const MOST_BYTES = 1024;

/** The permission bits of everybody but the owner. */
const OTHERS = 0o077;

/**
 * Makes a secret and writes it to a new file, mode 0600.
 *
 * @throws {LocalIoError} A file of that name is there, or cannot be written.
 */
export async function createSecretFile(path: string): Promise<void> {
  const text = `${await formatSecret(newSecret())}\n`;
  const options = { write: true, createNew: true, mode: 0o600 };
  try {
    using file = await Deno.open(path, options);
    try {
      await writeAll(file, new TextEncoder().encode(text));
      await file.sync();
    } catch (error) {
      await Deno.remove(path);
      throw error;
    }
  } catch (error) {
    const reason = error instanceof Deno.errors.AlreadyExists
      ? "a file of that name is there; remove it if it is no longer needed, or give another"
      : reasonOf(error);
    throw new LocalIoError(`Cannot make --new-secret "${path}": ${reason}`, {
      cause: error,
    });
  }
}

/**
 * Reads a secret.
 *
 * @param option The option that names the file, for the message.
 * @throws {LocalIoError} It cannot be read, is none, or others on this machine can
 * read or change it.
 */
export async function readSecretFile(
  option: string,
  path: string,
): Promise<Secret> {
  const bytes = await readPrivateFile(path, {
    option,
    maxBytes: MOST_BYTES,
    forbidden: {
      bits: OTHERS,
      reason: `others on this machine can read or change it; do: chmod 600 ${
        shellWord(path)
      }`,
    },
  });
  try {
    const secret = await parseSecret(new TextDecoder().decode(bytes));
    if (bytes.length <= MOST_BYTES) return secret;
    throw new SyntaxError("it is damaged: more than a secret is in it");
  } catch (error) {
    throw unusable(option, path, reasonOf(error), error);
  }
}

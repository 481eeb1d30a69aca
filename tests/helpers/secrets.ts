/** Files with secrets. */

import { formatSecret, newSecret } from "../../lib/tls/secret.ts";
import { Folder } from "./folder.ts";

/** A folder with the files `key` and `other`, which hold two secrets. */
export class Secrets extends Folder {
  readonly secret = newSecret();
  readonly key = `${this.path}/key`;
  readonly other = `${this.path}/other`;

  static async make(): Promise<Secrets> {
    const folder = new Secrets();
    await folder.write("key", `${await formatSecret(folder.secret)}\n`);
    await folder.write("other", `${await formatSecret(newSecret())}\n`);
    return folder;
  }

  /** Writes a file that only its owner can read, and tells its path. */
  async write(name: string, text: string | Uint8Array): Promise<string> {
    const path = `${this.path}/${name}`;
    const bytes = typeof text === "string"
      ? new TextEncoder().encode(text)
      : text;
    await Deno.writeFile(path, bytes, { mode: 0o600 });
    return path;
  }
}

/** The forms in which a value might be found in a text. */
export function hidden(bytes: Uint8Array): string[] {
  return [
    String.fromCharCode(...bytes),
    [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(""),
  ];
}

/** A folder for the files of one test. */
export class Folder implements Disposable {
  readonly path: string = Deno.makeTempDirSync({ prefix: "sockpipe-test-" });

  /** What is in the folder. */
  names(): string[] {
    return [...Deno.readDirSync(this.path)].map(({ name }) => name);
  }

  /** Removes the folder with all that is in it. */
  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

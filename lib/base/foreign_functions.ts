/** Functions of a system's library, opened in little time. */

/** A structure of one int, as a parameter. */
const INT_STRUCT = { struct: ["i32"] } as const;

/** One function, as `Deno.dlopen` takes it. */
type Definition = Deno.ForeignFunction;
/** One function, as it is called. */
// deno-lint-ignore no-explicit-any
type Call = (...args: any[]) => unknown;

/**
 * Opens functions of a library, about 10 µs each.
 *
 * The runtime takes 100 to 200 µs each to compile code that makes a call a tenth
 * of a microsecond faster, but none for functions that are passed a structure. One
 * of a single int is passed as the int itself is (System V ABI, AAPCS64), so the
 * first int of each function is handed over in one; a function that takes none is
 * given one more argument, which it does not look at.
 *
 * @throws {Error} There is no such library, or no such function in it.
 * @throws {Deno.errors.NotCapable} The right to `ffi` is not there.
 */
export function openFunctions<T extends Record<string, Definition>>(
  library: string,
  definitions: T,
): Deno.DynamicLibrary<T>["symbols"] {
  const entries = Object.entries(definitions);
  const opened: Record<string, Call> = Deno.dlopen(
    library,
    Object.fromEntries(
      entries.map(([name, definition]) => [name, withStruct(definition)]),
    ),
  ).symbols;
  const calls = entries.map(([name, definition]) => {
    const call = opened[name];
    const place = structPlace(definition);
    return [name, call && place >= 0 ? passingStruct(call, place) : call];
  });
  return Object.fromEntries(calls);
}

/** Finds the place of the structure; -1 on another thread, where nothing is compiled. */
function structPlace({ parameters, nonblocking }: Definition): number {
  if (nonblocking === true) return -1;
  const place = parameters.indexOf("i32");
  return place < 0 ? parameters.length : place;
}

function withStruct(definition: Definition): Definition {
  const place = structPlace(definition);
  if (place < 0) return definition;
  const parameters = [...definition.parameters];
  parameters[place] = INT_STRUCT;
  return { ...definition, parameters };
}

function passingStruct(call: Call, place: number): Call {
  const int = new Int32Array(1);
  const struct = new Uint8Array(int.buffer);
  return (...args) => {
    int[0] = args[place] ?? 0;
    args[place] = struct;
    return call(...args);
  };
}

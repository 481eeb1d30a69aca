/** Sizes, durations and bytes as people write them, and back. */

/** The longest wait that a timer can hold: 2^31 - 1 ms, a little over 24 days. */
export const MAX_DURATION_MS = 2 ** 31 - 1;

const SIZE_UNITS: Record<string, number> = {
  "": 1,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  t: 1024 ** 4,
};

const DURATION_UNITS: Record<string, number> = {
  ms: 1,
  s: 1000,
  "": 1000,
  m: 60_000,
  h: 3_600_000,
};

/**
 * Reads `1024`, `64k`, `4M`, `1G` (powers of 1024).
 *
 * @returns The size in bytes, or `undefined` when the text is not a size.
 */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+)([kmgt]?)$/i.exec(text);
  const unit = SIZE_UNITS[match?.[2]?.toLowerCase() ?? "none"];
  return unit === undefined ? undefined : Number(match?.[1]) * unit;
}

/**
 * Reads `250ms`, `3s`, `2m`, `1h`, `0.5s`; a bare number is seconds.
 *
 * @returns The duration in milliseconds, or `undefined` when the text is not one.
 */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|)$/.exec(text);
  const unit = DURATION_UNITS[match?.[2] ?? "none"];
  return unit === undefined ? undefined : Number(match?.[1]) * unit;
}

/** Writes a size the way {@linkcode parseSize} reads it: `64k`, `16M`, `1000`. */
export function formatSize(bytes: number): string {
  for (const unit of ["T", "G", "M", "k"]) {
    const factor = SIZE_UNITS[unit.toLowerCase()] ?? 1;
    if (bytes >= factor && bytes % factor === 0) {
      return `${bytes / factor}${unit}`;
    }
  }
  return `${bytes}`;
}

/**
 * Writes a duration the way {@linkcode parseDuration} reads it: `3s`, `250ms`,
 * `1.5s`, `2m`.
 *
 * @param ms At least 0; rounded to milliseconds, above 10 s to tenths of a second.
 */
export function formatDuration(ms: number): string {
  const rounded = ms >= 10_000 ? Math.round(ms / 100) * 100 : Math.round(ms);
  if (rounded < 1000) return `${rounded}ms`;
  for (const unit of ["h", "m"]) {
    const factor = DURATION_UNITS[unit] ?? 1;
    if (rounded >= factor && rounded % factor === 0) {
      return `${rounded / factor}${unit}`;
    }
  }
  return `${rounded / 1000}s`;
}

/**
 * Writes an amount of bytes so that it is read at a glance, in at most 8 characters
 * below 1000 TiB: `17 B`, `1.5 KiB`, `320 MiB`.
 */
export function formatBytes(bytes: number): string {
  let value = bytes;
  for (const unit of ["B", "KiB", "MiB", "GiB", "TiB"]) {
    if (value < 999.5 || unit === "TiB") {
      const digits = unit === "B" || value >= 99.95
        ? 0
        : value >= 9.995
        ? 1
        : 2;
      return `${value.toFixed(digits)} ${unit}`;
    }
    value /= 1024;
  }
  return `${bytes} B`;
}

/** Writes a rate: `320 MiB/s`. */
export function formatRate(bytesPerSecond: number): string {
  return `${formatBytes(bytesPerSecond)}/s`;
}

/** Writes bytes in hex, two digits each: `00ff10`, or with a separator `00 ff 10`. */
export function hex(bytes: Iterable<number>, separator = ""): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0"))
    .join(separator);
}

// Numbers, times and sizes as people write them.

const SIZES = ["B", "KiB", "MiB", "GiB", "TiB"];

export const count = (number) => number.toLocaleString("en");

export const counted = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

export function duration(ms) {
  const steps = [[86_400_000, "d"], [3_600_000, "h"], [60_000, "min"], [1_000, "s"]];
  for (const [unit, name] of steps) {
    if (ms >= 2 * unit) return `${count(Math.floor(ms / unit))} ${name}`;
  }
  return `${Math.max(0, Math.round(ms))} ms`;
}

export function size(bytes) {
  let unit = 0;
  let left = bytes;
  while (left >= 1024 && unit < SIZES.length - 1) {
    left /= 1024;
    unit += 1;
  }
  return `${left < 10 && unit > 0 ? left.toFixed(1) : Math.round(left)} ${SIZES[unit]}`;
}

export const rate = (perSecond) =>
  perSecond >= 10 || perSecond === 0 ? count(Math.round(perSecond)) : perSecond.toFixed(1);

export const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");

export const moment = (ms) => `${new Date(ms).toLocaleDateString("en-CA")} ${clock(ms)}`;

// Figures, times and ids in the form that people read.
// Reads no clock but where the present is given.

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** An amount of bytes. */
export function bytes(amount: number): string {
  let unit = 0;
  while (amount >= 1024 && unit < UNITS.length - 1) {
    amount /= 1024;
    unit += 1;
  }
  return `${decimals(amount)} ${UNITS[unit]}`;
}

/** An amount of mebibytes, as resources are given. */
export function mebibytes(amount: number): string {
  return bytes(amount * 1024 * 1024);
}

/** A number with no more decimals than it needs, and three digits at most behind the point. */
export function decimals(amount: number): string {
  if (!Number.isFinite(amount)) return '–';
  const most = Math.abs(amount) >= 100 ? 0 : Math.abs(amount) >= 10 ? 1 : 2;
  return amount.toLocaleString('en', { maximumFractionDigits: most });
}

/** A whole number. */
export function count(amount: number): string {
  return Math.round(amount).toLocaleString('en');
}

/** A time span, in its two largest units. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const parts: [number, string][] = [
    [Math.floor(whole / 86400), 'd'],
    [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'min'],
    [whole % 60, 's'],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  if (first < 0) return '0 s';
  const shown = parts.slice(first, first + 2).filter(([amount]) => amount > 0);
  return shown.map(([amount, unit]) => `${amount} ${unit}`).join(' ');
}

/** How long ago a timestamp was. */
export function ago(timestamp: string | undefined, now: number): string {
  if (timestamp === undefined) return '–';
  const then = Date.parse(timestamp);
  return Number.isNaN(then) ? timestamp : `${duration((now - then) / 1000)} ago`;
}

/** A timestamp in the user's time. */
export function moment(timestamp: string | undefined): string {
  if (timestamp === undefined) return '–';
  const then = new Date(timestamp);
  if (Number.isNaN(then.getTime())) return timestamp;
  const pad = (value: number) => String(value).padStart(2, '0');
  const day = `${then.getFullYear()}-${pad(then.getMonth() + 1)}-${pad(then.getDate())}`;
  return `${day} ${pad(then.getHours())}:${pad(then.getMinutes())}:${pad(then.getSeconds())}`;
}

/** The part of a task's id that tells it from the others of its app. */
export function shortTask(id: string): string {
  const found = /\.instance-([0-9a-f-]{36})(?:\._app)?(?:\.(\d+))?$/.exec(id);
  return found ? `${found[1]}${found[2] === undefined || found[2] === '1' ? '' : `.${found[2]}`}` : id;
}

/** The last segment of an id. */
export function leaf(id: string): string {
  return id.slice(id.lastIndexOf('/') + 1);
}

/** `1 instance`, `2 instances`. */
export function plural(amount: number, one: string, many = `${one}s`): string {
  return `${count(amount)} ${amount === 1 ? one : many}`;
}

/** The words of a deployment's action. */
export function action(name: string): string {
  return name
    .replace(/(Application|Pod)$/, '')
    .replace(/([a-z])([A-Z])/g, '$1 $2');
}

// Where an agent is reached, and which of its pages shows which files.
// Asks it nothing.

/** An agent as /slaves lists it. */
export interface AgentOfState {
  id: string;
  hostname: string;
  /** Such as `slave(1)@10.0.0.1:5051`. */
  pid: string;
}

/**
 * Its address for browsers; none when its pid is of another form.
 *
 * As on Mesos's pages it is the hostname that the agent goes by, as its address may be one that only masters reach, with
 * the port of its pid, and the scheme of the page: whoever serves masters over TLS does so with agents. An agent that
 * listens on a loopback address is at no other.
 */
export function agentUrl(agent: Pick<AgentOfState, 'hostname' | 'pid'>, scheme = location.protocol): string | undefined {
  const found = /@(.+):(\d+)$/.exec(agent.pid);
  if (!found) return undefined;
  const ip = (found[1] ?? '').replace(/^\[|\]$/g, '');
  const host = agent.hostname === '' || isLoopback(ip) ? ip : agent.hostname;
  // What is no scheme of pages is that of a file, or of a test.
  const safe = scheme === 'https:' ? 'https:' : 'http:';
  return `${safe}//${host.includes(':') ? `[${host}]` : encodeURIComponent(host)}:${found[2]}`;
}

const isLoopback = (ip: string): boolean => ip === '::1' || ip === 'localhost' || /^127(\.\d+){3}$/.test(ip);

/** What is looked for in a sandbox: a file that is shown as a log, or else a directory. */
export interface Sought {
  framework: string;
  executor: string;
  /** The id of a container, or `latest`. */
  run: string;
  directory: string[];
  file?: string;
}

/** The page of an agent that shows it. */
export function agentPage(url: string, { framework, executor, run, directory, file }: Sought): string {
  const parts = [framework, executor, run, ...directory, ...(file === undefined ? [] : [file])];
  return `${url}/ui/#/${file === undefined ? 'files' : 'log'}/${parts.map(encodeURIComponent).join('/')}`;
}

/** Where an agent gives a whole file. */
export function fileUrl(url: string, { framework, executor, run, directory, file }: Sought): string {
  const path = ['', 'frameworks', framework, 'executors', executor, 'runs', run, ...directory, file ?? ''].join('/');
  return `${url}/files/download?path=${encodeURIComponent(path)}`;
}
